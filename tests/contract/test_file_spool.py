"""Files of this machine as the spool."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from cognition.adapters.spool import FileSpool
from cognition.testing.contracts import SpoolContract
from cognition.testing.contracts.spool import MakeSpool


class TestFileSpool(SpoolContract):
    """The contract of spools."""

    @pytest.fixture
    def make(self, tmp_path: Path) -> MakeSpool:
        """Return what makes spools of one folder."""
        return partial(FileSpool, tmp_path / "spool" / "acme")
