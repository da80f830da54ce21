"""The spool in a folder of this machine.

<folder>/<process>-<random>.spool   what one process could not book; see `lines`, and `journal` for who may read it
<folder>/rejected                   lines that can never be booked; renamed to *.spool, they are tried again
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from cognition.adapters.spool.journal import SUFFIX, Journal, append_to, sync_folder, taken
from cognition.adapters.spool.lines import line_of, settlement_of
from cognition.domain.settlement import Settlement, SpoolState
from cognition.errors import CacheUnavailable, LedgerFull
from cognition.resilience.spool import Take

_log = logging.getLogger(__name__)

# A part of the limit is kept for attempts that were under way when the rest was used up: some 30 000 of them.
_FOR_NEW_ATTEMPTS = 7 / 8
_ROWS_AT_A_TIME = 500
# What is replayed is gone file by file, so that processes that live for seconds get on with it, too.
_FILE_BYTES = 1_000_000


class FileSpool:
    """Keeps settlements in a folder that the processes of one user share; makes it when something is to be kept."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """Use a folder.

        Args:
            folder: Of one database and one tenant.
            limit_bytes: How much all files in it may take together.
        """
        self._folder = folder
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._journal: Journal | None = None

    @property
    def waits(self) -> bool:
        """Whether anything may wait."""
        return bool(self._files())

    def append(self, settlements: Sequence[Settlement]) -> None:
        """Keep settlements; when it returns, they are on the disk.

        Raises:
            CacheUnavailable: They cannot be kept.
        """
        lines = b"".join(map(line_of, settlements))
        with self._lock:
            if self._used() + len(lines) > self._limit:
                raise self._unavailable(f"it has reached its limit of {self._limit / 1e6:g} MB")
            try:
                self._opened().append(lines)
            except OSError as error:
                raise self._unavailable(error.strerror or type(error).__name__) from error

    def require_room(self) -> None:
        """Return while there is room for what a new attempt may have to leave here.

        Raises:
            LedgerFull: There is none.
        """
        if self._used() >= self._limit * _FOR_NEW_ATTEMPTS:
            raise LedgerFull.of(str(self._folder), self._limit)

    def replay(self, take: Take) -> bool:
        """Hand over what waits; the own file is closed for that, and the next append opens another."""
        try:
            # Not closed while files before it wait in vain: else each vain try would leave one more.
            left_behind = all(self._replayed(path, take) for path in self._files())
            return left_behind and all(self._replayed(path, take) for path in self._closed())
        except (OSError, CacheUnavailable) as error:
            _log.error("The ledger rows in %s stay there: %s", self._folder, error)
            return False

    def reject(self, settlements: Sequence[Settlement]) -> None:
        """Keep aside what can never be booked."""
        self._put_aside([line_of(one) for one in settlements])

    def state(self) -> SpoolState:
        """Return what waits, of all processes."""
        return SpoolState(
            place=str(self._folder),
            rows=sum(len(_lines_in(path)) for path in self._files()),
            rejected=len(_lines_in(self._rejected)),
            used_bytes=self._used(),
            limit_bytes=self._limit,
        )

    def close(self) -> None:
        """Leave what waits to others."""
        self._closed()

    def forget(self) -> None:
        """Start anew after a fork: the file is the parent's."""
        self._lock = threading.Lock()
        if self._journal is not None:
            self._journal.forget()
            self._journal = None

    @property
    def _rejected(self) -> Path:
        return self._folder / "rejected"

    def _opened(self) -> Journal:
        """Return the file of this process; the caller holds the lock."""
        if self._journal is not None and (self._journal.removed or self._journal.size >= _FILE_BYTES):
            self._journal.close()
            self._journal = None
        if self._journal is None:
            self._journal = Journal.create(self._folder)
        return self._journal

    def _closed(self) -> list[Path]:
        """Close the file of this process and return it, if there is one."""
        with self._lock:
            journal, self._journal = self._journal, None
            if journal is None:
                return []
            journal.close()
            return [journal.path]

    def _files(self) -> dict[Path, int]:
        """Return the files of all processes with their sizes, oldest first."""
        found: list[tuple[float, Path, int]] = []
        # What cannot be looked into holds nothing that could be read.
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # replayed just now
                    if entry.name.endswith(SUFFIX):
                        found.append((entry.stat().st_mtime, Path(entry.path), entry.stat().st_size))
        return {path: size for _, path, size in sorted(found)}

    def _used(self) -> int:
        return sum(self._files().values())

    def _replayed(self, path: Path, take: Take) -> bool:
        """Hand over one file and remove it; return False when not all of it was taken."""
        unread: list[bytes] = []
        with taken(path) as file:
            if file is None:
                return True
            lines = iter(file)
            while some := list(islice(lines, _ROWS_AT_A_TIME)):
                read = [(line, settlement_of(line)) for line in some]
                settlements = [settlement for _, settlement in read if settlement is not None]
                if settlements and not take(settlements):
                    return False
                # Of the last line a crash may have left a part: its caller was never told that it is kept.
                unread += [line for line, one in read if one is None and line.endswith(b"\n") and line.strip()]
            if unread:
                _log.error("%d ledger rows in %s are damaged or of a newer version.", len(unread), self._folder)
                self._put_aside(unread)
            path.unlink(missing_ok=True)
            sync_folder(self._folder)
        return True

    def _put_aside(self, lines: Sequence[bytes]) -> None:
        try:
            # A file may be handed over again after some of its lines were put aside.
            known = set(_lines_in(self._rejected))
            append_to(self._rejected, b"".join(line for line in lines if line not in known))
        except OSError as error:
            raise self._unavailable(error.strerror or type(error).__name__) from error

    def _unavailable(self, reason: str) -> CacheUnavailable:
        message = f"The spool {self._folder} takes no ledger rows ({reason}); make room or set COGNITION_SPOOL."
        return CacheUnavailable(message, store="spool")


def _lines_in(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
