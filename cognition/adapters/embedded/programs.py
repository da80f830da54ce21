"""Find the server programs inside their wheels, without importing the packages (their imports are slow)."""

import os
import shutil
import stat
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from cognition.adapters.embedded.account import Account
from cognition.adapters.embedded.home import SYSTEM_FOLDER, passable
from cognition.errors import ConfigurationError


def program(package: str, pattern: str, account: Account) -> Path:
    """Return the path of a program that the account can run.

    Where the wheel is installed below a folder closed to the account (root's environment below /root), the wheel's
    files are copied once, per version, to the system folder: opening the closed folder is not ours to do.

    Args:
        package: Import name of the wheel.
        pattern: Where the program is inside the package; `*` stands for a platform.
        account: Who will run it.

    Raises:
        ConfigurationError: The wheel is not installed.
    """
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    found = next((path for folder in folders for path in Path(folder).glob(pattern)), None)
    if found is None:
        raise ConfigurationError(
            "The embedded servers are not installed: pip install 'prefect-cognition[local]', or set "
            "COGNITION_DATABASE_URL and COGNITION_REDIS_URL to servers of yours."
        )
    if account.uid == os.geteuid() or _runnable_by_all(found):
        return found
    folder = Path(folders[0])
    return _open_copy(folder) / folder.name / found.relative_to(folder)


def _runnable_by_all(path: Path) -> bool:
    needed = stat.S_IROTH | stat.S_IXOTH
    return path.stat().st_mode & needed == needed and passable(path)


def _open_copy(package: Path) -> Path:
    """Return a folder with a copy of the package and of its libraries, readable by all and writable by root only."""
    copies = SYSTEM_FOLDER / "programs"
    target = copies / f"{package.name}-{version(package.name)}"
    if target.exists():
        return target
    copies.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix="new-", dir=copies))
    # Linux wheels keep shared libraries beside the package (`<package>.libs`), macOS wheels inside; programs find them
    # by relative path, so the layout stays.
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            ignored = shutil.ignore_patterns("pginstall", "include", "*.a", "__pycache__")
            shutil.copytree(source, fresh / source.name, symlinks=True, ignore=ignored)
    _open_to_all(SYSTEM_FOLDER, copies, fresh, *fresh.rglob("*"))
    try:
        fresh.rename(target)
    except OSError:
        if not target.exists():
            raise
        shutil.rmtree(fresh)  # another process was faster
    return target


def _open_to_all(*paths: Path) -> None:
    for path in paths:
        if not path.is_symlink():
            executable = stat.S_IXGRP | stat.S_IXOTH if path.stat().st_mode & stat.S_IXUSR else 0
            path.chmod(path.stat().st_mode | stat.S_IRGRP | stat.S_IROTH | executable)
