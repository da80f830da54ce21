"""Embedded servers of a test's own: started in a new folder, stopped and deleted afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cognition.adapters.embedded import EmbeddedServers, ensure_running, stop


@contextmanager
def temporary_home() -> Generator[Path]:
    """Give a folder for embedded servers; nothing runs in it yet.

    At the end whatever was started in it is stopped, and the folder is deleted.

    Yields:
        A value for `COGNITION_HOME`, `Settings.home` or `ensure_running`. It is below /tmp, because the path of a Unix
        socket must be short.
    """
    home = Path(tempfile.mkdtemp(prefix="cg-", dir="/tmp"))
    # The servers of root run as another user, who must pass through.
    home.chmod(0o711)
    try:
        yield home
    finally:
        stop(home)
        shutil.rmtree(home)


@contextmanager
def temporary_servers() -> Generator[EmbeddedServers]:
    """Give a PostgreSQL with pgvector and a Valkey that nobody else uses; both are gone afterwards.

    Raises:
        ConfigurationError: The wheels of the extra `local` are not installed, or a server does not start.

    Yields:
        The servers' URLs; their database has no schema yet.
    """
    with temporary_home() as home:
        yield ensure_running(home)
