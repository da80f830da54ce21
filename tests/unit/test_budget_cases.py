"""What other gateways' tests expect of accounting and of resets holds here too."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import NAMESPACE_URL, uuid5

from cognition import Budget
from cognition.adapters.memory import MemoryBudgetAdmin, MemoryBudgets, MemoryLedger
from cognition.domain.budget import Scope
from cognition.domain.reservation import CallAttempt, Claim
from cognition.testing import FakeClock
from tests.unit.budget_cases import given_cases

ALICE: dict[Scope, str] = {"user": "alice"}
DAY = timedelta(days=1)


@dataclass
class Desk:
    """A daily budget of a hundred dollars, and who looks after it."""

    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        """Set the budget."""
        ledger = MemoryLedger()
        self.budgets = MemoryBudgets(self.clock, ledger)
        self.admin = MemoryBudgetAdmin(self.budgets, ledger)
        self.budgets.put(Budget(scope="user", subject="alice", limit_usd="100", period="daily"), "test")

    def spend(self, usd: Decimal, name: str, attempt: int = 1) -> None:
        """Let an attempt cost something; the same one may come again."""
        one = CallAttempt(uuid5(NAMESPACE_URL, name), attempt)
        self.budgets.reserve(Claim(attempt=one, subjects=ALICE, estimate_usd=usd, holder="here"))
        self.budgets.settle(one, usd)

    @property
    def used(self) -> Decimal:
        """What is spent today."""
        return self.budgets.look(ALICE)[0].used_usd


def test_each_attempt_is_booked_once() -> None:
    """Repetitions are none, failed attempts that were billed are, whatever the outcome that is reported again."""
    for case in given_cases()["accounting_idempotency_bifrost"]:
        desk = Desk()
        for name, attempt, _, usd, _ in case["updates"]:
            desk.spend(Decimal(usd), name, attempt + 1)
        attempts = {(name, attempt) for name, attempt, *_ in case["updates"]}
        desk.clock.advance(DAY)
        (closed,) = desk.admin.close_periods(10)
        assert (case["name"], Decimal(case["cost"]), len(attempts)) == (case["name"], closed.used_usd, closed.calls)


def test_periods_start_on_the_same_lattice_whoever_comes_when() -> None:
    """Late ticks of two nodes shift nothing: each period is closed once and ends where the next one begins."""
    for case in given_cases()["reset_lattice_bifrost_budgetcycle"]:
        nodes = [case.get(name, ()) for name in ("ticks_s", "ticks_node_A_s", "ticks_node_B_s")]
        ticks = sorted({tick for node in nodes for tick in node})
        if not ticks:
            continue
        desk = Desk(FakeClock(datetime(2026, 1, 1, tzinfo=UTC)))
        start, ends = desk.clock.now, list[datetime]()
        desk.spend(Decimal(1), "0")
        for tick in ticks:
            # Their windows are a minute; ours a day.
            desk.clock.now = start + tick * DAY / case["window_s"]
            ends += [one.period_end for one in desk.admin.close_periods(10)]
            desk.spend(Decimal(1), str(tick))
        whole = {tick // case["window_s"] for tick in ticks}
        assert [start + count * DAY for count in sorted(whole)] == ends
        last_reset = case.get("expect_last_reset_s")
        assert last_reset is None or start + last_reset * DAY / case["window_s"] == ends[-1]


def test_after_a_long_absence_there_is_one_reset() -> None:
    """Nothing is left of what was spent before, and a second sweep finds nothing."""
    for case in given_cases()["reset_lattice_bifrost_budgetcycle"]:
        if "resume_at_s" not in case:
            continue
        desk = Desk(FakeClock(datetime(2026, 1, 1, tzinfo=UTC)))
        start = desk.clock.now
        desk.spend(Decimal(90), "before")
        desk.clock.now = start + timedelta(seconds=case["resume_at_s"])
        assert (1, 0) == (len(desk.admin.close_periods(10)), len(desk.admin.close_periods(10)))
        assert Decimal(case["used_after"]) == desk.used
        assert start + timedelta(seconds=case["expect_one_reset_at_s"]) == desk.budgets.look(ALICE)[0].period_start


def test_a_month_s_money_comes_with_the_month() -> None:
    """Not after thirty days: neither a day early, nor two late."""
    early, late = given_cases()["tensorzero_month_arithmetic_pg18"]
    for then, now in (
        (early["balance_as_of"], early["refills_at"]),
        (late["balance_as_of"], "2026-02-28"),
        (late["no_refill_at"], late["refill_at"]),
    ):
        desk = Desk(FakeClock(_day(then)))
        monthly = Budget(scope="user", subject="alice", limit_usd="100", period="monthly")
        desk.budgets.put(monthly, "test")
        desk.spend(Decimal(90), "then")
        desk.clock.now = _day(now)
        assert Decimal(90) == max(one.used_usd for one in desk.budgets.look(ALICE))
        desk.clock.now = _day(f"2026-{desk.clock.now.month + 1:02}-01")
        assert Decimal(0) == max(one.used_usd for one in desk.budgets.look(ALICE))


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
