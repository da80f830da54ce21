"""Every verifier keeps the contract."""

from __future__ import annotations

import pytest

from cognition.adapters.memory import MemoryVerifier
from cognition.testing.contracts import VerifierContract


class TestMemoryVerifier(VerifierContract):
    """Shared words."""

    @pytest.fixture
    def verifier(self) -> MemoryVerifier:
        """Return a new one."""
        return MemoryVerifier()
