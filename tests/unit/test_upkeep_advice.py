"""What a person is told to do about the tables."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from cognition.domain.upkeep import TableHealth
from cognition.errors import ConfigurationError
from cognition.services.maintenance import Maintenance, UpkeepParts
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
