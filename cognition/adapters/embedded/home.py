"""Where the embedded servers keep their files, for an ordinary user and for root.

    <home>/servers.lock         held while servers are started or stopped
    <home>/servers.json         what runs; see `state`
    <home>/run/                 the sockets, 0700 (see `Home.socket_folder` for long paths)
    <home>/<server>/data/       0700
    <home>/<server>/server.log

PostgreSQL refuses to run as root. Started by root, the servers run under a system account of their own, which has to
pass through every parent of its data. No home folder may be opened for that, so root's default is a system folder.
"""

import os
import pwd
import stat
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cognition.errors import ConfigurationError

SYSTEM_FOLDER = Path("/var/lib/prefect-cognition")
"""Holds what root's servers need: one folder per home, and copies of programs that lie below a closed folder."""

# A socket path has at most 104 bytes on macOS and 108 on Linux, the terminating zero included; the longest name that we
# put behind the folder is PostgreSQL's `/.s.PGSQL.5432`.
_LONGEST_SOCKET_FOLDER = 104 - 1 - len("/.s.PGSQL.5432")


@dataclass(frozen=True)
class Home:
    """The folder of one set of embedded servers; `locate` makes it.

    Attributes:
        folder: Absolute path.
    """

    folder: Path

    @property
    def lock_file(self) -> Path:
        """Locked by the one process that starts or stops servers."""
        return self.folder / "servers.lock"

    @property
    def state_file(self) -> Path:
        """Says what runs."""
        return self.folder / "servers.json"

    @property
    def socket_folder(self) -> Path:
        """`run` in the home, or a short folder of the user's own where that would be too long for a socket."""
        folder = self.folder / "run"
        if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER:
            return folder
        # Not TMPDIR: it may be long itself, and may differ between the processes that share the servers.
        return Path("/tmp") / f"cognition-{os.geteuid()}-{_digest(self.folder)}"  # noqa: S108 - made 0700, owner checked

    def create(self) -> None:
        """Create the folder with what is missing of its parents; those that exist are never changed."""
        missing = [folder for folder in (self.folder, *self.folder.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            # Explicit, because a strict umask would close root's folders to the account of the servers.
            folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def locate(asked: Path | None) -> Home:
    """Return the home of the servers for the user who asks.

    Root gets the folder that was asked for only if root owns it (or it does not exist yet), every user may pass through
    its parents, and it is not below a home folder. Otherwise, and by default, root's servers live in
    `/var/lib/prefect-cognition/<hash of the folder>`.

    Args:
        asked: Default: `COGNITION_HOME`, else the user's data folder.

    Raises:
        ConfigurationError: The platform is Windows, where Python has no Unix sockets.
    """
    if sys.platform == "win32":
        raise ConfigurationError(
            "The embedded servers need Unix sockets, which Python does not have on Windows; set COGNITION_DATABASE_URL "
            "and COGNITION_REDIS_URL to servers of yours, or use WSL."
        )
    explicit = asked or os.environ.get("COGNITION_HOME")
    folder = Path(explicit or _user_data_folder()).expanduser().resolve()
    if os.geteuid() != 0 or (explicit and _suits_root(folder)):
        return Home(folder)
    return Home(SYSTEM_FOLDER / _digest(folder))


def passable(path: Path) -> bool:
    """Return whether every user may pass through the parents of a path, as far as they exist."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents if parent.exists())


def _suits_root(folder: Path) -> bool:
    if folder.exists():
        found = folder.stat()
        if stat.S_ISDIR(found.st_mode) and (found.st_uid != 0 or not found.st_mode & stat.S_IXOTH):
            return False
    home_folders = {Path.home(), Path(pwd.getpwuid(0).pw_dir), Path("/home"), Path("/Users")} - {Path("/")}
    below_home = any(folder.is_relative_to(home.resolve()) for home in home_folders)
    return not below_home and passable(folder)


def _user_data_folder() -> Path:
    from platformdirs import user_data_path  # noqa: PLC0415 - half of the time of attaching, and often not needed

    return user_data_path("prefect-cognition", appauthor=False)


def _digest(folder: Path) -> str:
    return sha256(os.fsencode(folder)).hexdigest()[:12]
