"""Settlements in files: whole lines or none, one writer a file, and nothing of a dead one is lost."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cognition.adapters.spool import FileSpool
from cognition.domain.settlement import Settlement
from cognition.errors import CacheUnavailable
from cognition.testing.contracts.samples import a_row
from cognition.testing.contracts.spool import names, some, taken

PLENTY = 10_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that is not there yet."""
    return tmp_path / "spool" / "acme"


@pytest.fixture
def spool(folder: Path) -> FileSpool:
    """Return an empty spool with plenty of room."""
    return FileSpool(folder, PLENTY)


# -- files ------------------------------------------------------------------------------------------------------------


def test_opening_one_makes_nothing(spool: FileSpool, folder: Path) -> None:
    """Most never need it."""
    assert [] == taken(spool)
    spool.require_room()
    spool.close()
    assert not folder.parent.exists()


def test_only_its_owner_may_read_it(spool: FileSpool, folder: Path) -> None:
    """Names of people are in it."""
    spool.append(some(1))
    spool.reject(some(1))
    assert {0o600} == {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert {0o700} == {one.stat().st_mode & 0o777 for one in (folder, folder.parent)}


def test_a_torn_last_line_is_skipped(spool: FileSpool, folder: Path) -> None:
    """A crash left a part of it; the lines before it are handed over."""
    given = some(3)
    spool.append(given)
    spool.close()
    file = the_file(folder)
    file.write_bytes(file.read_bytes()[:-5])

    assert given[:2] == taken(spool)
    assert (0, 0) == (spool.state().rows, spool.state().rejected)


def test_a_damaged_line_in_the_middle_is_kept_aside(
    spool: FileSpool, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was promised to be kept; those around it are handed over, and once repaired it can be tried again."""
    given = some(3)
    spool.append(given)
    spool.close()
    file = the_file(folder)
    whole = file.read_bytes()
    file.write_bytes(whole.replace(given[1].row.request_id.encode(), b"x" * 32))

    assert [given[0], given[2]] == taken(spool)
    assert 1 == spool.state().rejected
    assert ["1 ledger rows in"] == [record.message[:16] for record in caplog.records]

    (folder / "rejected").rename(folder / "repaired.spool").write_bytes(whole.splitlines(keepends=True)[1])
    assert [given[1]] == taken(spool)


def test_a_line_of_a_newer_version_is_kept_aside(spool: FileSpool, folder: Path) -> None:
    """This version cannot know what it says."""
    spool.append(some(1))
    spool.close()
    file = the_file(folder)
    newer = b"2" + file.read_bytes()[1:]
    file.write_bytes(newer)
    assert [] == taken(spool)
    assert newer == (folder / "rejected").read_bytes()


def test_a_long_file_is_handed_over_in_parts(spool: FileSpool, folder: Path) -> None:
    """So that it need not fit into memory; while one part is refused, all stay."""
    given = some(1200)
    spool.append(given)
    sizes: list[int] = []
    assert not spool.replay(lambda part: not sizes.append(len(part)) and len(sizes) < 3)
    assert [500, 500, 200] == sizes
    assert 1200 == spool.state().rows
    assert given == taken(spool)
    assert [] == list(folder.iterdir())


def test_a_long_outage_makes_several_files(spool: FileSpool, folder: Path) -> None:
    """So that what is replayed is gone, if the process that does it ends before all is."""
    for _ in range(3):
        spool.append(some(1400))
    assert 3 == len(list(folder.iterdir()))
    taken_before: list[int] = []

    def take(part: Sequence[Settlement]) -> bool:
        taken_before.append(len(part))
        return sum(taken_before) <= 2000

    assert not spool.replay(take)
    assert 2800 == spool.state().rows
    assert 2800 == len(taken(spool))


def test_vain_tries_leave_no_files(spool: FileSpool, folder: Path) -> None:
    """However often the store refuses what it is handed, there are two: one that waits, one that is written."""
    for _ in range(5):
        spool.append(some(1))
        assert not spool.replay(lambda _: False)
    assert 2 == len(list(folder.iterdir()))
    assert 5 == len(taken(spool))


def test_a_deleted_folder_is_made_anew(spool: FileSpool, folder: Path) -> None:
    """Somebody tidied up; what comes after that is kept."""
    spool.append(some(1))
    shutil.rmtree(folder.parent)
    later = some(1)
    spool.append(later)
    assert later == taken(spool)


# -- disks that fail --------------------------------------------------------------------------------------------------


@contextmanager
def files_of_at_most(count: int) -> Generator[None]:
    """Let the system refuse what makes a file longer, after it has written a part: as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_and_leaves_no_half_line(spool: FileSpool, folder: Path) -> None:
    """What it took before is there, and when there is room it takes more."""
    given = some(3)
    spool.append(given[:1])
    length = the_file(folder).stat().st_size
    with files_of_at_most(length + 100), pytest.raises(CacheUnavailable, match=r"\(File too large\); make room"):
        spool.append(given[1:2])
    assert length == the_file(folder).stat().st_size

    spool.append(given[2:])
    assert [given[0], given[2]] == taken(spool)
    assert 0 == spool.state().rejected


def test_a_half_line_that_cannot_be_taken_back_spoils_no_other(
    spool: FileSpool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next line begins on its own."""
    given = some(3)
    spool.append(given[:1])
    length = the_file(folder).stat().st_size

    def refuse(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr(os, "ftruncate", refuse)
    with files_of_at_most(length + 100), pytest.raises(CacheUnavailable):
        spool.append(given[1:2])
    spool.append(given[2:])
    assert [given[0], given[2]] == taken(spool)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """Keeping and keeping aside fail, looking finds nothing."""
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    spool = FileSpool(tmp_path / "file" / "acme", PLENTY)
    for keep in (spool.append, spool.reject):
        with pytest.raises(CacheUnavailable, match="takes no ledger rows"):
            keep(some(1))
    assert not spool.waits
    assert [] == taken(spool)


def test_while_nothing_can_be_kept_aside_nothing_is_removed(
    spool: FileSpool, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file is handed over again when the disk has room."""
    given = some(1)
    spool.append(given)
    (folder / "rejected").mkdir()

    def reject(settlements: Any) -> bool:
        spool.reject(settlements)
        return True

    assert not spool.replay(reject)
    assert "stay there" in caplog.text
    (folder / "rejected").rmdir()
    assert spool.replay(reject)
    assert (0, 1) == (spool.state().rows, spool.state().rejected)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_not_read(spool: FileSpool, folder: Path) -> None:
    """It could book money that nobody spent."""
    spool.append(some(1))
    spool.close()
    os.chown(the_file(folder), 65534, 65534)
    assert [] == taken(spool)


# -- processes --------------------------------------------------------------------------------------------------------

_WRITER = """
import sys
from pathlib import Path
from cognition.adapters.spool import FileSpool
from cognition.testing.contracts.spool import some
spool = FileSpool(Path(sys.argv[1]), 10_000_000)
for count in (1, 2):
    given = some(count)
    spool.append(given)
    print(*(one.row.request_id for one in given), flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_wrote_is_handed_over(spool: FileSpool, folder: Path) -> None:
    """Not before it is dead."""
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        written = [name for _ in range(2) for name in writer.stdout.readline().split()]
        assert [] == taken(spool)
        assert 3 == spool.state().rows
        writer.send_signal(signal.SIGKILL)
    assert written == [one.row.request_id for one in taken(spool)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_forked_child_leaves_the_file_to_its_parent(spool: FileSpool, folder: Path) -> None:
    """It writes one of its own; and neither it nor its end unlocks the parent's."""
    before, after = some(1), some(1)
    spool.append(before)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads at a fork
        child = os.fork()
    if not child:
        spool.forget()
        spool.append(some(1))
        os._exit(0 if [] == taken(FileSpool(folder, PLENTY)) else 1)
    assert 0 == os.waitpid(child, 0)[1]
    other = FileSpool(folder, PLENTY)
    assert 1 == len(taken(other))
    spool.append(after)
    assert names(before + after) == names(taken(spool))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_child_that_lives_on_does_not_keep_what_its_parent_left(spool: FileSpool, folder: Path) -> None:
    """It has inherited the open file; closing it in the parent lets others read it all the same."""
    given = some(1)
    spool.append(given)
    end, begin = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        os.close(begin)
        os.read(end, 1)
        os._exit(0)
    spool.close()
    assert given == taken(FileSpool(folder, PLENTY))
    os.close(begin)
    os.close(end)
    assert 0 == os.waitpid(child, 0)[1]


def the_file(folder: Path) -> Path:
    """Return the only file that waits."""
    (found,) = folder.glob("*.spool")
    return found


def test_the_same_settlement_of_two_processes_is_two(spool: FileSpool, folder: Path) -> None:
    """Telling them apart is the ledger's part, by call and attempt."""
    one = Settlement(row=a_row())
    other = FileSpool(folder, PLENTY)
    spool.append([one])
    other.append([replace(one, held=True)])
    other.close()
    assert [replace(one, held=True), one] == taken(spool)
