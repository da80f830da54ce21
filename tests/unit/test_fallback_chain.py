"""A call that falls back or breaks off, as its caller, the ledger, the cache and observers see it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from cognition import Fallback, ResiliencePolicy, Settings
from cognition.domain.pricing import Rate
from cognition.errors import (
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    RetryLater,
)
from cognition.events import Failed, FellBack, RetryDenied, RetryScheduled
from tests.unit.memory_engine import MODEL, Rig, an_answer

MakeRig = Callable[..., Rig]
OTHER = "anthropic:claude-haiku-4-5"
PROVIDER: dict[str, Any] = {"provider": "openai-chat", "model": MODEL, "status": 503}
SETTINGS = Settings(
    model=MODEL,
    fallbacks=(Fallback(OTHER),),
    resilience=ResiliencePolicy(attempts=2, initial_backoff=timedelta(microseconds=1)),
    prices={
        MODEL: Rate(input_per_million=Decimal(1), output_per_million=Decimal(1)),
        OTHER: Rate(input_per_million=Decimal(10), output_per_million=Decimal(10)),
    },
)


def down() -> ProviderUnavailable:
    """Return an error that may pass."""
    return ProviderUnavailable("The provider is overloaded; try later.", **PROVIDER)


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    """Return an engine with a fallback, whose models answer from one script."""
    return make_rig(settings=SETTINGS)


def test_the_completion_says_who_answered_at_whose_price(rig: Rig) -> None:
    """Asked for one model, answered by the other, paid at the other's price."""
    rig.script.then(down(), down(), an_answer("Yes."))

    done = rig.engine.complete("Really?")

    assert (OTHER, MODEL, 3, Decimal("0.011")) == (done.model, done.requested_model, done.attempts, done.cost_usd)
    assert [MODEL, MODEL, OTHER] == [request.model for request in rig.script.requests]


def test_each_attempt_stands_in_the_ledger_under_the_model_that_was_asked(rig: Rig) -> None:
    """Numbers run over the whole chain, so that no row takes another's place; failed ones cost nothing."""
    rig.script.then(down(), down(), an_answer("Yes."))

    rig.engine.complete("Really?")

    rows = sorted(rig.rows, key=lambda row: row.attempt)
    assert [
        (1, MODEL, "failed_free", Decimal(0)),
        (2, MODEL, "failed_free", Decimal(0)),
        (3, OTHER, "ok", Decimal("0.011")),
    ] == [(row.attempt, row.model, row.status, row.cost and row.cost.usd) for row in rows]
    assert {MODEL} == {row.requested_model for row in rows}
    assert 1 == len({row.call_key for row in rows})


def test_events_tell_the_story(rig: Rig) -> None:
    """One retry, one change of models."""
    rig.script.then(down(), down(), an_answer("Yes."))
    rig.engine.complete("Really?")
    assert [1] == [event.attempt for event in rig.seen(RetryScheduled)]
    assert [(MODEL, OTHER, "ProviderUnavailable")] == [
        (event.model, event.fallback, event.error) for event in rig.seen(FellBack)
    ]
    assert [] == rig.seen(Failed)


def test_the_answer_is_kept_for_the_question_and_says_whose_it_is(rig: Rig) -> None:
    """The next caller gets it from the cache and can see that a fallback made it."""
    rig.script.then(down(), down(), an_answer("Yes."))
    rig.engine.complete("Really?")
    again = rig.engine.complete("Really?")
    assert ("l1", OTHER, MODEL) == (again.layer, again.model, again.requested_model)
    assert Decimal("0.011") == again.saved_usd


def test_an_empty_account_goes_to_the_fallback_at_once(rig: Rig) -> None:
    """Waiting does not help."""
    rig.script.then(QuotaExhausted("No credit; top it up.", **PROVIDER), an_answer("Yes."))
    assert (OTHER, 2) == ((done := rig.engine.complete("Really?")).model, done.attempts)


def test_the_nearer_chain_wins(rig: Rig) -> None:
    """A call may name another fallback, by its name alone, or none."""
    rig.script.then(down(), down(), an_answer("Yes."))
    assert "mistral:large" == rig.engine.complete("Really?", fallbacks=["mistral:large"]).model
    rig.script.then(down(), down())
    with pytest.raises(ProviderUnavailable):
        rig.engine.complete("Other?", fallbacks=[])


def test_the_callers_own_error_is_its_own(rig: Rig) -> None:
    """It does not cost a second model."""
    rig.script.then(RequestRejected("No such key; check it.", **PROVIDER))
    with pytest.raises(RequestRejected):
        rig.engine.complete("Really?")
    assert 1 == rig.script.calls


def test_a_long_wait_is_a_time_to_come_back(make_rig: MakeRig) -> None:
    """Nobody sleeps for five minutes; an event says what stood against another attempt."""
    rig = make_rig()
    rig.script.then(RateLimited("Too many calls; wait.", **PROVIDER, retry_after=300.0))
    with pytest.raises(RetryLater) as caught:
        rig.engine.complete("Really?", resilience=SETTINGS.resilience)
    assert rig.clock.now + timedelta(minutes=5) == caught.value.at
    assert [(1, "RetryLater")] == [(event.attempt, event.reason) for event in rig.seen(RetryDenied)]


def test_utilisation_can_be_read(rig: Rig) -> None:
    """A service for each model that was asked."""
    rig.script.then(an_answer("Yes."))
    rig.engine.complete("Really?")
    assert [(MODEL, 0, 0, 32)] == [
        (one.service, one.in_use, one.waiting, one.quota.max_concurrent) for one in rig.engine.utilisation()
    ]


def test_fallbacks_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON."""
    monkeypatch.setenv("COGNITION_FALLBACKS", '[{"model": "anthropic:claude-haiku-4-5"}]')
    monkeypatch.setenv("COGNITION_RESILIENCE__BREAKER__FAILURE_THRESHOLD", "7")
    settings = Settings()
    assert ((Fallback(OTHER),), 7) == (settings.fallbacks, settings.resilience.breaker.failure_threshold)


@pytest.mark.parametrize(
    "cut", [{"finish_reason": None}, {"finish_reason": "error"}, {"state": "interrupted"}], ids=str
)
def test_an_answer_that_was_cut_off_is_paid_for_but_no_success(rig: Rig, cut: dict[str, Any]) -> None:
    """Without a reason to end nobody knows what is missing: it is booked, and asked again."""
    rig.script.then(an_answer("Ye", **cut), an_answer("Yes."))
    assert rig.engine.complete("Really?").output == "Yes."
    assert sorted((row.attempt, row.status, row.error) for row in rig.rows) == [
        (1, "failed_billed", "ProviderUnavailable"),
        (2, "ok", None),
    ]
