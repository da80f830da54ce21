"""What a ledger must do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from cognition.domain.attribution import Attribution
from cognition.domain.entry import Layer
from cognition.domain.ledger import CountKey, Dimension, LayerStats, LedgerBatch, LedgerRow, LookUpCounts, ReportLine
from cognition.domain.ledger import ReportQuery as Query
from cognition.domain.pricing import Cost
from cognition.errors import LedgerConflict
from cognition.ports import Ledger
from cognition.testing.contracts.samples import MODEL, NOON, a_row

_HOUR = timedelta(hours=1)
_ZERO = Cost(usd=Decimal(0), source="cache", version="")


class LedgerContract:
    """Fixture to give: `ledger`, an empty one."""

    def test_sums_are_exact(self, ledger: Ledger) -> None:
        """A report adds what stands in the rows, to the last of nine places."""
        ledger.record(
            LedgerBatch(rows=[a_row("0.000000001", latency_ms=10.0), a_row("1234567.999999999", latency_ms=30.0)])
        )
        line = ReportLine(
            group={"workflow": "nightly", "model": MODEL},
            calls=2,
            hits=0,
            attempts=2,
            input_tokens=24,
            output_tokens=18,
            cost_usd=Decimal("1234568.000000000"),
            saved_usd=Decimal(0),
            unpriced=0,
            median_latency_ms=20.0,
            slowest_ms=30.0,
        )
        assert [line] == ledger.report(Query(tenant="acme"))

    def test_a_row_is_written_once(self, ledger: Ledger) -> None:
        """The same row again, in the same batch or a later one, is skipped."""
        row = a_row()
        ledger.record(LedgerBatch(rows=[row, row]))
        ledger.record(LedgerBatch(rows=[row, a_row()]))
        assert (2, 2) == _calls_and_attempts(ledger)

    def test_another_row_under_the_same_key_is_a_conflict(self, ledger: Ledger) -> None:
        """Nothing in the ledger is ever changed, and nothing of a batch with a conflict is written."""
        row = a_row("1")
        ledger.record(LedgerBatch(rows=[row]))
        with pytest.raises(LedgerConflict):
            ledger.record(
                LedgerBatch(rows=[a_row("5"), replace(row, cost=None)], counts={_count_key(): LookUpCounts(hits=1)})
            )
        assert [Decimal(1)] == [line.cost_usd for line in ledger.report(Query(tenant="acme"))]
        assert [] == ledger.stats("acme", _HOUR, NOON)

    def test_who_it_is_booked_to_may_become_known_later(self, ledger: Ledger) -> None:
        """The same row with another root flow run is no conflict: that is resolved in the background."""
        row = a_row(attribution=Attribution(workflow="nightly", flow_run_id="child"))
        ledger.record(LedgerBatch(rows=[row]))
        ledger.record(LedgerBatch(rows=[replace(row, attribution=replace(row.attribution, root_flow_run_id="root"))]))
        assert (1, 1) == _calls_and_attempts(ledger)

    def test_a_call_with_several_attempts_counts_once(self, ledger: Ledger) -> None:
        """Failed attempts are attempts, and their tokens and cost count, but they are one call."""
        last = a_row("0.002", attempt=2)
        failed = replace(last, attempt=1, status="failed_billed", error="ProviderTimeout")
        ledger.record(LedgerBatch(rows=[failed, last]))
        assert (1, 2) == _calls_and_attempts(ledger)
        assert Decimal("0.004") == ledger.report(Query(tenant="acme"))[0].cost_usd

    def test_hits_save(self, ledger: Ledger) -> None:
        """A hit is a call without attempt, tokens or cost, and says what it saved."""
        ledger.record(LedgerBatch(rows=[a_row("0.5"), _hit("0.3"), _hit("0.2", Layer.L2), _hit(None)]))
        (line,) = ledger.report(Query(tenant="acme"))
        assert (4, 3, 1) == (line.calls, line.hits, line.attempts)
        assert (12, Decimal("0.5"), Decimal("0.5")) == (line.input_tokens, line.cost_usd, line.saved_usd)

    def test_an_unknown_price_is_not_zero(self, ledger: Ledger) -> None:
        """Attempts without a price are counted beside the sum."""
        ledger.record(LedgerBatch(rows=[a_row("0.5"), a_row(None), _hit(None)]))
        (line,) = ledger.report(Query(tenant="acme"))
        assert (Decimal("0.5"), 1) == (line.cost_usd, line.unpriced)

    def test_the_dearest_group_comes_first(self, ledger: Ledger) -> None:
        """Groups are ordered by cost, and a group without a value is a group."""
        users = {"alice": "1", "bob": "3", None: "2"}
        ledger.record(
            LedgerBatch(rows=[a_row(cost, attribution=Attribution(user=user)) for user, cost in users.items()])
        )
        lines = ledger.report(Query(tenant="acme", group_by=("user",)))
        assert ["bob", None, "alice"] == [line.group["user"] for line in lines]

    @pytest.mark.parametrize(
        ("dimension", "value"),
        {
            "workflow": "w",
            "flow_run": "f",
            "root_flow_run": "r",
            "task": "t",
            "task_run": "tr",
            "user": "u",
            "team": "e",
            "model": MODEL,
            "namespace": "support",
            "layer": "provider",
            "status": "ok",
            "day": "2026-11-22",
        }.items(),
    )
    def test_groups(self, ledger: Ledger, dimension: Dimension, value: str) -> None:
        """A report may group by every dimension."""
        booked = Attribution(
            workflow="w", flow_run_id="f", root_flow_run_id="r", task_name="t", task_run_id="tr", user="u", team="e"
        )
        ledger.record(LedgerBatch(rows=[a_row(attribution=booked)]))
        (line,) = ledger.report(Query(tenant="acme", group_by=(dimension,)))
        assert {dimension: value} == line.group

    def test_everything_in_one_line(self, ledger: Ledger) -> None:
        """Without dimensions all calls are one group."""
        ledger.record(LedgerBatch(rows=[a_row("1"), a_row("2", attribution=Attribution())]))
        assert [({}, 2)] == [(line.group, line.calls) for line in ledger.report(Query(tenant="acme", group_by=()))]

    def test_a_report_covers_a_time(self, ledger: Ledger) -> None:
        """From a time on, up to but excluding another."""
        ledger.record(LedgerBatch(rows=[a_row("1", created_at=NOON + hours * _HOUR) for hours in range(4)]))
        (line,) = ledger.report(Query(tenant="acme", since=NOON + _HOUR, until=NOON + 3 * _HOUR))
        assert 2 == line.calls

    def test_a_report_covers_a_flow_run_and_its_subflows(self, ledger: Ledger) -> None:
        """Rows of the run itself and rows whose root it is."""
        bookings = [
            Attribution(flow_run_id="root", root_flow_run_id="root"),
            Attribution(flow_run_id="child", root_flow_run_id="root"),
            Attribution(flow_run_id="stranger", root_flow_run_id="stranger"),
            Attribution(),
        ]
        ledger.record(LedgerBatch(rows=[a_row(attribution=booking) for booking in bookings]))
        counts = [
            ledger.report(Query(tenant="acme", flow_run_id=run, group_by=()))[0].calls for run in ("root", "child")
        ]
        assert [2, 1] == counts

    def test_tenants_are_apart(self, ledger: Ledger) -> None:
        """Nobody sees another tenant's rows or counts."""
        ledger.record(LedgerBatch(rows=[a_row()], counts={_count_key(): LookUpCounts(hits=1)}))
        assert [] == ledger.report(Query(tenant="umbrella"))
        assert [] == ledger.stats("umbrella", _HOUR, NOON)

    def test_counts_add_up(self, ledger: Ledger) -> None:
        """Counts of several batches, namespaces and models are added by layer, fastest layer first."""
        first = {
            _count_key(layer=Layer.L2): LookUpCounts(misses=4, stores=4),
            _count_key(): LookUpCounts(hits=1, misses=2, corrupt=1, saved_usd=Decimal("0.000000001")),
        }
        second = {
            _count_key(): LookUpCounts(hits=2, saved_usd=Decimal("0.2")),
            _count_key(namespace="billing", model="ollama:qwen3"): LookUpCounts(hits=4),
        }
        for counts in (first, second):
            ledger.record(LedgerBatch(counts=counts))
        expected = [
            LayerStats(layer=Layer.L1, hits=7, misses=2, corrupt=1, stores=0, saved_usd=Decimal("0.200000001")),
            LayerStats(layer=Layer.L2, hits=0, misses=4, corrupt=0, stores=4, saved_usd=Decimal(0)),
        ]
        assert expected == ledger.stats("acme", _HOUR, NOON)

    def test_counts_of_a_window(self, ledger: Ledger) -> None:
        """Hours before the window and after its end do not count; the oldest hour counts whole."""
        hours = {hours: _count_key(hour=NOON + hours * _HOUR) for hours in (-3, -2, -1, 0, 1)}
        ledger.record(
            LedgerBatch(counts={key: LookUpCounts(hits=10**index) for index, key in enumerate(hours.values())})
        )
        (stats,) = ledger.stats("acme", 2 * _HOUR, NOON + timedelta(minutes=30))
        assert 1110 == stats.hits

    def test_it_answers(self, ledger: Ledger) -> None:
        """A ledger that works returns from ping and has a name for messages."""
        ledger.ping()
        assert ledger.name


def _hit(saved_usd: str | None, layer: Layer = Layer.L1) -> LedgerRow:
    saved = None if saved_usd is None else Decimal(saved_usd)
    return a_row(status="cache_hit", layer=layer, attempt=0, cost=_ZERO, saved_usd=saved)


def _count_key(**changes: Any) -> CountKey:
    return replace(CountKey(tenant="acme", layer=Layer.L1, namespace="support", model=MODEL, hour=NOON), **changes)


def _calls_and_attempts(ledger: Ledger) -> tuple[int, int]:
    (line,) = ledger.report(Query(tenant="acme", group_by=()))
    return line.calls, line.attempts
