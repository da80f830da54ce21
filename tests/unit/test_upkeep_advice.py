"""What a person is told to do about the tables."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from cognition.domain.upkeep import TableHealth, VectorIndex
from cognition.errors import ConfigurationError
from cognition.services.maintenance import Maintenance, UpkeepParts
from cognition.services.semantic_upkeep import ReEmbedded
from cognition.testing import FakeClock
from cognition.testing.contracts.samples import NOON
from tests.unit.memory_engine import Rig


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"dead_rows": 9_000, "rows": 1_000}, None),
        ({"dead_rows": 40_000}, None),
        ({"dead_rows": 50_000}, "VACUUM (ANALYZE) llm_cache; 50,000 of 150,000 rows are dead"),
        ({"analysed_at": None}, "ANALYZE llm_cache; PostgreSQL has not looked at its 100,000 rows ever"),
        ({"analysed_at": NOON - timedelta(days=8)}, "since 2026-11-14"),
        ({"analysed_at": None, "rows": 9_999}, None),
    ],
)
def test_advice(changes: dict[str, Any], words: str | None) -> None:
    """Only where PostgreSQL does not keep up by itself, and small tables do not matter."""
    usual: dict[str, Any] = {"rows": 100_000, "dead_rows": 0, "vacuumed_at": NOON, "analysed_at": NOON}
    table = TableHealth(name="llm_cache", total_bytes=1, index_bytes=1, **{**usual, **changes})
    advice = table.advice(NOON)
    assert (words is None) == (advice is None)
    assert words is None or words in str(advice)


class _Hoard:
    """Holds a number of rows; remembers how many it was asked to delete."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.limits: list[int] = []

    def purge_semantic(self, before: object, limit: int) -> int:
        """Delete some."""
        assert NOON - timedelta(days=30) == before
        self.limits.append(limit)
        deleted = min(self.rows, limit)
        self.rows -= deleted
        return deleted

    def roll_up(self, before: datetime, limit: int) -> int:
        """Delete some."""
        assert NOON - timedelta(days=93) == before
        return self.purge_semantic(NOON - timedelta(days=30), limit)

    def tables(self) -> list[TableHealth]:
        """Return none."""
        return []


@pytest.mark.parametrize(
    ("rows", "most", "limits"),
    [(0, 100, [100]), (25_000, 10**6, [10_000] * 3), (25_000, 12_000, [10_000, 2_000]), (20_000, 10**6, [10_000] * 3)],
)
def test_deleting_in_batches(rows: int, most: int, limits: list[int]) -> None:
    """Until nothing is left or enough is deleted."""
    hoard, rig = _Hoard(rows), Rig()
    parts = UpkeepParts(store=hoard, has_embedder=False, clock=FakeClock(NOON))
    maintenance = Maintenance(parts, rig.engine.cache, rig.engine.breakers)
    assert (min(rows, most), limits) == (maintenance.purge_questions(most=most), hoard.limits)
    assert (None, [], 0) == (maintenance.reembed(), maintenance.tables(), maintenance.purge_answers())


def test_old_ledger_rows_go_in_batches_and_none_too_early() -> None:
    """Forecasts of budgets need a quarter of them; where there are no tables there is nothing to do."""
    hoard, rig = _Hoard(25_000), Rig()
    parts = UpkeepParts(store=hoard, has_embedder=False, clock=FakeClock(NOON))
    maintenance = Maintenance(parts, rig.engine.cache, rig.engine.breakers)
    assert (25_000, [10_000] * 3) == (maintenance.roll_up_ledger(timedelta(days=93)), hoard.limits)
    with pytest.raises(ConfigurationError, match="93 days at least"):
        maintenance.roll_up_ledger(timedelta(days=92))
    assert 0 == rig.engine.maintenance.roll_up_ledger(timedelta(days=93))


@pytest.mark.parametrize(
    ("rows", "lists"), [(0, 1), (100_000, 100), (250_999, 250), (10**6, 1000), (10**6 + 1, 1000), (4 * 10**6, 2000)]
)
def test_lists_of_an_index(rows: int, lists: int) -> None:
    """A thousandth of the rows, and above a million their square root."""
    assert lists == VectorIndex(dimensions=768, rows=rows, other=None, lists=None).wanted_lists


@pytest.mark.parametrize(
    ("rows", "other", "lists", "due"),
    [
        (99_999, None, None, False),
        (100_000, None, None, True),
        (100_000, "hnsw", None, False),
        (199_999, None, 100, False),
        (200_000, None, 100, True),
        (100_000, None, 1000, False),
    ],
)
def test_an_index_is_advised_only_when_it_is_due(rows: int, other: str | None, lists: int | None, due: bool) -> None:  # noqa: FBT001  a case
    """With how vectors are searched now; a person may also leave it to the flow."""
    index = VectorIndex(dimensions=768, rows=rows, other=other, lists=lists)
    assert due == index.is_due
    advice = Rig().engine.maintenance.advice([], index)
    how = f"found by an IVFFlat index of {lists} lists" if lists else "searched one by one"
    sentence = f"{rows:,} vectors of 768 dimensions are {how}."
    assert ([f"cognition cache build-index, or maintain_store with build_index; {sentence}"] if due else []) == advice


class _Loaded:
    """A cache that was loaded in bulk; builds one index."""

    def __init__(self) -> None:
        self.lists: int | None = None

    def vector_index(self) -> VectorIndex:
        """Say what is there."""
        return VectorIndex(dimensions=768, rows=100_000, other=None, lists=self.lists)

    def build_vector_index(self, lists: int | None = None) -> str:
        """Build one that is not there yet."""
        assert (lists, self.lists) == (None, None)
        self.lists = 100
        return "an index"

    def purge(self, limit: int = 1) -> int:
        """Hold nothing that expires."""
        return 0 * limit

    def reembed(self, limit: int = 1) -> ReEmbedded:
        """Hold nothing of another embedder."""
        return ReEmbedded(moved=0 * limit, left=0, done=True)


def test_an_index_that_is_due_is_built_once() -> None:
    """A second run finds nothing to do; without an embedder there is none."""
    rig = Rig()
    parts = UpkeepParts(store=None, has_embedder=True, clock=FakeClock(NOON))
    maintenance = Maintenance(parts, _Loaded(), rig.engine.breakers)
    assert ["an index", None] == [maintenance.build_index(), maintenance.build_index()]
    without = rig.engine.maintenance
    assert (None, None) == (without.build_index(), without.vector_index())
