"""Files of lines: each is written by one process and read by nobody while that one lives.

A file is locked as long as it is written or read, by `flock`, which the system lets go of when its process dies,
however it does. The lock is on the file itself and goes with it. (Not by `filelock`: before its version 4, a child that
collects the lock it inherited in a fork unlocks the parent's.)
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

SUFFIX = ".spool"

_PRIVATE = 0o600


class Journal:
    """A file that this process writes; `create` makes it.

    Attributes:
        path: Its name.
        size: Its length in bytes.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        """Write a new file that is open and locked."""
        self.path = path
        self._descriptor = descriptor
        self.size = 0
        self._torn = False

    @classmethod
    def create(cls, folder: Path) -> Journal:
        """Return a new, empty file in a folder, which is made when it is missing.

        Raises:
            OSError: It cannot be made.
        """
        make_private_folder(folder)
        while True:
            path = folder / f"{os.getpid()}-{secrets.token_hex(8)}{SUFFIX}"
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, _PRIVATE)
            # Somebody who replays may have been quicker: he takes it for one that was left behind, and removes it.
            if _is_locked_now(descriptor) and os.fstat(descriptor).st_nlink:
                sync_folder(folder)
                return cls(path, descriptor)
            os.close(descriptor)

    @property
    def removed(self) -> bool:
        """Whether somebody deleted the file, so that what is written to it would be lost."""
        return not os.fstat(self._descriptor).st_nlink

    def append(self, lines: bytes) -> None:
        """Write lines; when it returns they are on the disk.

        Raises:
            OSError: They are not, and the file is as it was.
        """
        # What is left of lines that could be neither written nor taken back becomes a damaged line of its own.
        content = b"\n" + lines if self._torn else lines
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
        except OSError:
            self._torn = True
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
                self._torn = False
            raise
        self.size += len(content)
        self._torn = False

    def close(self) -> None:
        """Let go of the file, so that others may read it, whatever child processes inherited."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)

    def forget(self) -> None:
        """Leave the file to the parent after a fork: closing alone does not touch the parent's lock."""
        os.close(self._descriptor)


@contextmanager
def taken(path: Path) -> Generator[BinaryIO | None]:
    """Lock a file that nobody writes or reads, for reading.

    Yields:
        The file; None when it belongs to somebody else or is gone.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        found = os.fstat(file.fileno())
        # Somebody else's file could book somebody else's money.
        ours = found.st_uid == os.geteuid() and _is_locked_now(file.fileno()) and os.fstat(file.fileno()).st_nlink
        if not ours:
            yield None
            return
        try:
            yield file
        finally:
            # Closing alone would not do while a child process has inherited the file.
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)


def append_to(path: Path, lines: bytes) -> None:
    """Add lines to a file that several processes share, and wait until they are on the disk."""
    make_private_folder(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _PRIVATE)
    try:
        os.write(descriptor, lines)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private_folder(folder: Path) -> None:
    """Create a folder with what is missing of its parents, for this user alone; those that exist are not changed."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
        sync_folder(one.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_locked_now(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
