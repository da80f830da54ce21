"""Every verifier keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cognition.adapters.memory import MemoryVerifier
from cognition.adapters.verifiers import CrossEncoder
from cognition.testing.contracts import VerifierContract
from tests.tiny_cross_encoder import write_cross_encoder


class TestMemoryVerifier(VerifierContract):
    """Shared words."""

    @pytest.fixture
    def verifier(self) -> MemoryVerifier:
        """Return a new one."""
        return MemoryVerifier()


class TestCrossEncoder(VerifierContract):
    """A model in a folder, run by onnxruntime."""

    @pytest.fixture
    def verifier(self, tmp_path: Path) -> Iterator[CrossEncoder]:
        """Return one over a tiny model."""
        write_cross_encoder(tmp_path / "tiny", ["LABEL_0"], [4.0])
        opened = CrossEncoder(tmp_path / "tiny")
        yield opened
        opened.close()
