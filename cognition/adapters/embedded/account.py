"""The system account under which root's servers run, and the folders that belong to it."""

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cognition.errors import ConfigurationError

_NAME = "prefect-cognition"


@dataclass(frozen=True)
class Account:
    """A user and group of the operating system."""

    uid: int
    gid: int


def account_for_servers() -> Account:
    """Return the account for server processes: the caller's own, or for root a system account made on first use.

    A dedicated account, not `nobody`: whatever else runs as `nobody` could open our sockets.

    Raises:
        ConfigurationError: The caller is root and the account cannot be made.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    try:
        entry = pwd.getpwnam(_NAME)
    except KeyError:
        entry = _create()
    return Account(entry.pw_uid, entry.pw_gid)


def make_private(folder: Path, account: Account) -> None:
    """Create a folder that only the account (and root) can enter, or check that an existing one is that.

    Raises:
        ConfigurationError: Something else stands in its place, put there by somebody else.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    foreign = found.st_uid not in {os.geteuid(), account.uid}
    shared = folder.parent.stat().st_mode & stat.S_IWOTH
    if not stat.S_ISDIR(found.st_mode) or (foreign and (os.geteuid() != 0 or shared)):
        raise ConfigurationError(f"{folder} is not a folder of yours; remove it or set COGNITION_HOME elsewhere.")
    folder.chmod(0o700)
    if found.st_uid != account.uid:
        # Root made it just now, or it comes from a volume of another machine, where the account has another number.
        for path in (folder, *folder.rglob("*")):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _create() -> pwd.struct_passwd:
    # Debian, Red Hat, SUSE, Arch: useradd; Alpine's busybox: adduser.
    commands = {
        "useradd": ("--system", "--user-group", "--no-create-home", "--home-dir=/nonexistent", "--shell=/bin/false"),
        "adduser": ("-S", "-D", "-H", "-h", "/nonexistent", "-s", "/bin/false"),
    }
    for command, options in commands.items():
        if program := shutil.which(command):
            subprocess.run([program, *options, _NAME], check=False, capture_output=True)
            break
    try:
        return pwd.getpwnam(_NAME)  # also right when another process made the account between our look and our call
    except KeyError:
        raise ConfigurationError(
            f"PostgreSQL does not run as root and the system account {_NAME!r} could not be made for it; make it, run "
            "as an ordinary user, or set COGNITION_DATABASE_URL and COGNITION_REDIS_URL."
        ) from None
