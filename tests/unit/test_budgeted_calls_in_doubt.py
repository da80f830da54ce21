"""Budgets where something is not known: tokens, prices, whether an answer came, how the store's counters stand."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic_ai.usage import RequestUsage

from cognition.errors import (
    BudgetUnavailable,
    PriceUnknown,
    ProviderTimeout,
)
from tests.unit.dollar_calls import ALICE, BOB, CHEAPER, UNPRICED, ask, budget, costing, settings, standing
from tests.unit.memory_engine import GatedProvider, Rig, an_answer, eventually


@pytest.fixture
def rig() -> Rig:
    """Return an engine whose calls cost whole dollars."""
    return Rig(settings=settings())


def test_an_answer_that_tells_no_tokens_costs_what_was_set_aside(rig: Rig) -> None:
    """A server that does not count is no reason to spend without a limit; the row says that it is an estimate."""
    rig.budgets.put(budget("10"), "test")
    rig.script.then(an_answer("Yes.", usage=RequestUsage()))

    answer = ask(rig)

    (row,) = rig.rows
    assert row.cost is not None
    assert (Decimal(4), "estimate") == (row.cost.usd, row.cost.source)
    assert Decimal(4) == answer.cost_usd
    assert (Decimal(4), 0) == standing(rig)


def test_without_a_budget_an_answer_that_tells_no_tokens_has_no_cost(rig: Rig) -> None:
    """Unknown is not zero."""
    rig.script.then(an_answer("Yes.", usage=RequestUsage()))

    assert ask(rig).cost_usd is None


def test_silence_costs_what_was_set_aside() -> None:
    """Whoever is not waited for any more may answer all the same, and send the bill."""
    rig = Rig(provider=GatedProvider(), settings=settings(attempt_timeout=timedelta(milliseconds=10)))
    rig.budgets.put(budget("10"), "test")

    with pytest.raises(ProviderTimeout):
        ask(rig)

    assert (Decimal(4), 0) == standing(rig)
    assert [("failed_billed", "estimate")] == [(row.status, row.cost.source) for row in rig.rows if row.cost]


async def test_a_caller_who_leaves_pays_what_was_set_aside() -> None:
    """The provider was asked, and nobody knows how far it came."""
    provider = GatedProvider()
    rig = Rig(provider=provider, settings=settings())
    rig.budgets.put(budget("10"), "test")

    calling = asyncio.ensure_future(rig.engine.acomplete("Really?", settings={"max_tokens": 4}, attribution=ALICE))
    await asyncio.to_thread(eventually, lambda: bool(provider.requests))
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling

    eventually(lambda: (Decimal(4), 0) == standing(rig))
    assert [("cancelled", "estimate")] == [(row.status, row.cost.source) for row in rig.rows if row.cost]


@pytest.mark.parametrize(
    ("rule", "spent"),
    [({"on_unknown_price": "ceiling", "price_ceiling_usd": "3"}, 3), ({"on_unknown_price": "allow"}, 0)],
    ids=["ceiling", "allow"],
)
def test_a_budget_says_what_an_unknown_price_counts(rig: Rig, rule: dict[str, Any], spent: int) -> None:
    """A ceiling stands in the ledger as well, so that the sums agree; what is allowed stands there as unknown."""
    rig.budgets.put(budget("10", **rule), "test")
    rig.script.then(costing(4))

    ask(rig, model=UNPRICED)

    assert (Decimal(spent), 0) == standing(rig)
    assert [(spent, "ceiling") if spent else None] == [row.cost and (row.cost.usd, row.cost.source) for row in rig.rows]


def test_a_call_of_unknown_price_is_refused(rig: Rig) -> None:
    """Unless the budget says otherwise."""
    rig.budgets.put(budget("10"), "test")

    with pytest.raises(PriceUnknown, match="nobody-knows"):
        ask(rig, model=UNPRICED)


def test_the_next_model_is_asked_where_a_price_is_unknown(rig: Rig) -> None:
    """A fallback of a known price fits into a budget that the first model does not."""
    rig.budgets.put(budget("10"), "test")
    rig.script.then(costing(4))

    assert CHEAPER == ask(rig, model=UNPRICED, fallbacks=[CHEAPER]).model
    # Reports count a call where its first attempt is.
    assert [1] == [row.attempt for row in rig.rows]


@pytest.mark.parametrize("rule", ["closed", "open"])
def test_a_budget_says_what_happens_while_its_store_is_away(rig: Rig, rule: str) -> None:
    """Nobody spends, or everybody; what is spent is booked when the store is back."""
    rig.budgets.put(budget("10", on_store_down=rule), "test")
    rig.script.then(costing(3), costing(3))
    ask(rig, "One?")
    rig.budgets.outage.down = True

    if rule == "closed":
        with pytest.raises(BudgetUnavailable) as caught:
            ask(rig, "Two?")
        assert caught.value.retryable
        assert 1 == rig.script.calls
    else:
        assert "provider" == ask(rig, "Two?").layer


def test_by_what_was_last_known_a_process_may_go_on(rig: Rig) -> None:
    """Three of ten are spent: one call of at most four fits, a second one does not."""
    rule: dict[str, Any] = {"on_store_down": "last_known", "last_known_max_age": timedelta(minutes=5)}
    rig.budgets.put(budget("10", **rule), "test")
    rig.script.then(costing(3), costing(3))
    ask(rig, "One?")
    rig.budgets.outage.down = True

    assert "provider" == ask(rig, "Two?").layer
    with pytest.raises(BudgetUnavailable):
        ask(rig, "Three?")
    with pytest.raises(BudgetUnavailable):  # of whom nothing is known
        ask(rig, "Four?", attribution=BOB)


def test_money_is_kept_while_an_attempt_runs() -> None:
    """Leases end after a while, and are prolonged before; an attempt that has ended is left alone."""
    provider = GatedProvider()
    rig = Rig(provider=provider, settings=settings())
    rig.machinery.money.renewal.lease = timedelta(milliseconds=30)
    rig.budgets.put(budget("10"), "test")

    with ThreadPoolExecutor(max_workers=1) as thread:
        calling = thread.submit(ask, rig)
        eventually(lambda: len(rig.budgets.renewed) > 1)
        provider.gate.set()
        calling.result()

    assert {rig.budgets.claims[0].attempt} == rig.budgets.renewed[0]
    assert not rig.machinery.money.renewal.held
