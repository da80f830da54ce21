"""The path of one request, end to end over stores in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, model_validator
from pydantic_ai.messages import ModelRequest, UserPromptPart

from cognition import Attribution, CachePolicy, ResiliencePolicy, Settings
from cognition.adapters.memory import MemoryLedger
from cognition.domain.cache_policy import CacheMode
from cognition.domain.entry import Layer, Selection
from cognition.domain.ledger import LedgerBatch
from cognition.domain.pricing import Rate
from cognition.errors import (
    LedgerConflict,
    OnlyCachedMiss,
    OutputInvalid,
    ProviderTimeout,
    ProviderUnavailable,
    RequestRejected,
)
from cognition.events import Answered, Failed, LookedUp, NotStored, RetryScheduled, Stored
from tests.unit.memory_engine import MODEL, GatedProvider, Rig, an_answer, eventually

MakeRig = Callable[..., Rig]
PROVIDER: dict[str, Any] = {"provider": "openai-chat", "model": MODEL, "status": 503}
COST = Decimal("0.0004")  # 1000 and 100 tokens at the prices below
PRICED = Settings(
    model=MODEL,
    resilience=ResiliencePolicy(attempts=1),
    prices={MODEL: Rate(input_per_million=Decimal("0.2"), output_per_million=Decimal(2))},
)
QUICK = ResiliencePolicy(attempts=3, initial_backoff=timedelta(microseconds=1))


def test_the_second_call_is_answered_from_l1(make_rig: MakeRig) -> None:
    """The provider is asked once; the hit costs nothing and saves the price of a call."""
    rig = make_rig(settings=PRICED)
    rig.script.then(an_answer("Yes."))
    first = rig.engine.complete("Really?")
    rig.clock.advance(timedelta(seconds=7))
    second = rig.engine.complete("Really?")
    assert rig.script.calls == 1
    assert (first.layer, first.output, first.attempts, first.age) == ("provider", "Yes.", 1, None)
    assert (first.cost_usd, first.saved_usd) == (COST, 0)
    assert (second.layer, second.output, second.attempts, second.age) == ("l1", "Yes.", 0, timedelta(seconds=7))
    assert (second.cost_usd, second.saved_usd) == (0, COST)
    assert first.request_id != second.request_id


def test_without_l1_the_answer_comes_from_l2_then_again_from_l1(rig: Rig) -> None:
    """A hit in L2 is copied up."""
    rig.script.then("Yes.")
    rig.engine.complete("Really?")
    rig.fast.clear()
    assert [rig.engine.complete("Really?").layer for _ in range(2)] == ["l2", "l1"]


def test_after_the_last_life_the_provider_is_asked_again(rig: Rig) -> None:
    """L1 ends first, then L2."""
    rig.script.then("One.", "Two.")
    rig.engine.complete("Really?")
    rig.clock.advance(timedelta(minutes=6))
    assert rig.engine.complete("Really?").layer == "l2"
    rig.clock.advance(timedelta(hours=2))
    assert rig.engine.complete("Really?").output == "Two."


CHANGES: dict[str, dict[str, Any]] = {
    "model": {"model": "openai-chat:gpt-5"},
    "instructions": {"instructions": "Be brief."},
    "settings": {"settings": {"temperature": 0}},
    "namespace": {"namespace": "other"},
    "output": {"output": list[int]},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_question_goes_to_the_provider(rig: Rig, change: dict[str, Any]) -> None:
    """Whatever can change the answer makes another question."""
    rig.script.then("Yes.", '{"response": [1]}')
    rig.engine.complete("Really?")
    assert rig.engine.complete("Really?", **change).layer == "provider"


@pytest.mark.parametrize(
    ("mode", "layers", "outputs"),
    [
        ("use", ["provider", "l1"], ["One.", "One."]),
        ("refresh", ["provider", "provider", "l1"], ["One.", "Two.", "Two."]),
        ("bypass", ["provider", "provider"], ["One.", "Two."]),
    ],
)
def test_modes(rig: Rig, mode: CacheMode, layers: list[str], outputs: list[str]) -> None:
    """What each mode looks up and stores; a refreshed answer replaces the old one."""
    rig.script.then("One.", "Two.")
    done = [rig.engine.complete("Really?", cache=mode) for _ in range(2)]
    if mode == "refresh":
        done.append(rig.engine.complete("Really?"))
    assert [one.layer for one in done] == layers
    assert [one.output for one in done] == outputs
    assert (mode == "bypass") == (len(rig.fast) == 0)


def test_only_cached_answers_cost_nothing(rig: Rig) -> None:
    """A miss is an error that no retry can cure, and nobody is asked."""
    with pytest.raises(OnlyCachedMiss, match="use cache='use' to ask the provider"):
        rig.engine.complete("Really?", cache="only")
    assert rig.script.calls == 0
    assert rig.rows == []
    assert [event.error for event in rig.seen(Failed)] == ["OnlyCachedMiss"]
    rig.script.then("Yes.")
    rig.engine.complete("Really?")
    assert rig.engine.complete("Really?", cache="only").layer == "l1"


def test_bypass_looks_nowhere(rig: Rig) -> None:
    """Neither layer is asked and nothing waits for others."""
    rig.script.then("One.", "Two.")
    for _ in range(2):
        rig.engine.complete("Really?", cache="bypass")
    assert rig.seen(LookedUp) == []
    assert rig.seen(Stored) == []


def test_a_policy_of_ones_own_sets_lives(rig: Rig) -> None:
    """The nearer policy wins."""
    rig.script.then("One.", "Two.")
    policy = CachePolicy(l1_ttl=timedelta(seconds=1), l2_ttl=timedelta(seconds=1))
    rig.engine.complete("Really?", cache=policy)
    rig.clock.advance(timedelta(seconds=2))
    assert rig.engine.complete("Really?").output == "Two."


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_broken_answer_reaches_its_caller_only(rig: Rig, reason: str) -> None:
    """The caller paid for it and gets it; the next one asks again."""
    rig.script.then(an_answer("Ye", finish_reason=reason), "Yes.")
    assert [rig.engine.complete("Really?").output for _ in range(2)] == ["Ye", "Yes."]
    assert [event.reason for event in rig.seen(NotStored)] == [f"not finished: {reason}"]


def test_each_attempt_is_booked(rig: Rig) -> None:
    """Failed attempts that cost nothing and the one that did, in order, under one call."""
    down = ProviderUnavailable("The provider is overloaded; try later.", **PROVIDER)
    rig.script.then(down, ProviderTimeout("Too slow; try later.", **PROVIDER), "Yes.")
    done = rig.engine.complete("Really?", resilience=QUICK)
    assert done.attempts == 3
    rows = sorted(rig.rows, key=lambda row: row.attempt)
    assert [(row.attempt, row.status, row.error) for row in rows] == [
        (1, "failed_free", "ProviderUnavailable"),
        (2, "failed_free", "ProviderTimeout"),
        (3, "ok", None),
    ]
    assert {row.request_id for row in rows} == {done.request_id}
    assert len({row.call_key for row in rows}) == 1
    assert [event.attempt for event in rig.seen(RetryScheduled)] == [1, 2]


def test_the_last_error_is_the_callers(rig: Rig) -> None:
    """With a note of the attempts, an event, and no answer kept."""
    rig.script.then(*[ProviderUnavailable("The provider is overloaded; try later.", **PROVIDER) for _ in range(3)])
    with pytest.raises(ProviderUnavailable) as caught:
        rig.engine.complete("Really?", resilience=QUICK)
    assert caught.value.notes == ["This was attempt 3 of at most 3."]
    assert [event.error for event in rig.seen(Failed)] == ["ProviderUnavailable"]
    assert len(rig.fast) == 0


def test_an_attempt_that_hangs_is_a_timeout(make_rig: MakeRig) -> None:
    """The attempt is cancelled at the provider, booked, and may be retried."""
    provider = GatedProvider()
    rig = make_rig(provider=provider)
    with pytest.raises(ProviderTimeout, match=r"gave no answer in 0\.01 seconds"):
        rig.engine.complete(
            "Really?",
            resilience=ResiliencePolicy(
                attempts=2, attempt_timeout=timedelta(milliseconds=10), initial_backoff=timedelta(microseconds=1)
            ),
        )
    assert provider.cancelled == 2
    assert [row.status for row in rig.rows] == ["failed_free", "failed_free"]


def test_an_answer_of_the_wrong_shape_is_paid_for(make_rig: MakeRig) -> None:
    """It is booked with its tokens and asked again; only the right one is kept."""
    rig = make_rig(settings=PRICED)
    rig.script.then(an_answer("none"), an_answer('{"response": [1, 2]}'))
    done = rig.engine.complete("Numbers?", output=list[int], resilience=QUICK)
    assert done.output == [1, 2]
    assert sorted((row.attempt, row.status, row.cost and row.cost.usd) for row in rig.rows) == [
        (1, "failed_billed", COST),
        (2, "ok", COST),
    ]


def test_a_fault_in_the_users_own_check_is_booked_too(make_rig: MakeRig) -> None:
    """A validator that breaks is the user's error to see, but the answer has been paid for."""

    class Faulty(BaseModel):
        number: int

        @model_validator(mode="after")
        def check(self) -> Faulty:
            """Break."""
            raise ZeroDivisionError

    rig = make_rig(settings=PRICED)
    rig.script.then(an_answer('{"number": 1}'))
    with pytest.raises(ZeroDivisionError):
        rig.engine.complete("Number?", output=Faulty)
    assert [(row.status, row.error) for row in rig.rows] == [("failed_billed", "ZeroDivisionError")]


def test_a_hit_that_no_longer_fits_is_a_miss(rig: Rig) -> None:
    """Checks of the output type may become stricter without a change of its schema."""
    least = 0

    class Age(BaseModel):
        years: int

        @model_validator(mode="after")
        def check(self) -> Age:
            """Refuse what has become too young."""
            if self.years < least:
                raise ValueError("too young")
            return self

    rig.script.then('{"years": 3}', '{"years": 30}')
    assert rig.engine.complete("How old?", output=Age).output.years == 3
    least = 18
    again = rig.engine.complete("How old?", output=Age)
    assert (again.layer, again.output.years) == ("provider", 30)
    assert rig.engine.complete("How old?", output=Age).layer == "l1"


def test_a_paid_answer_that_never_fits_is_an_error(rig: Rig) -> None:
    """After all attempts the caller learns what is wrong with the answers."""
    rig.script.then("a", "b", "c")
    with pytest.raises(OutputInvalid):
        rig.engine.complete("Number?", output=int, resilience=QUICK)
    assert rig.script.calls == 3


def test_callers_that_wait_share_one_answer(make_rig: MakeRig) -> None:
    """One is booked as the attempt, the others as hits that saved its price."""
    provider = GatedProvider()
    rig = make_rig(provider=provider, settings=PRICED)
    layers: list[str] = []
    threads = [threading.Thread(target=lambda: layers.append(rig.engine.complete("Really?").layer)) for _ in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(rig.seen(LookedUp)) == 16)
    provider.gate.set()
    for thread in threads:
        thread.join()
    assert len(provider.requests) == 1
    assert sorted(layers) == ["l1"] * 7 + ["provider"]
    assert sorted((row.status, row.saved_usd) for row in rig.rows) == [("cache_hit", COST)] * 7 + [("ok", Decimal(0))]


def test_callers_that_wait_share_one_error(make_rig: MakeRig) -> None:
    """Nobody asks again for what has just been refused."""
    rig = make_rig()
    rig.script.then(RequestRejected("The key is wrong; set OPENAI_API_KEY.", **PROVIDER))
    errors: list[str] = []
    start = threading.Barrier(4)

    def ask() -> None:
        start.wait()
        try:
            rig.engine.complete("Really?")
        except Exception as error:  # noqa: BLE001  which one is the question
            errors.append(type(error).__name__)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 4
    assert set(errors) <= {"RequestRejected", "ConfigurationError"}, "a late one meets a script without answers"
    assert "RequestRejected" in errors


def test_a_failing_l1_is_only_slower(rig: Rig) -> None:
    """Answers come from L2 and the provider, and L1 is used again when it is back."""
    rig.script.then("Yes.", "No.")
    rig.engine.complete("Really?")
    rig.fast.outage.down = True
    assert rig.engine.complete("Really?").layer == "l2"
    assert rig.engine.complete("Other?").layer == "provider"
    rig.fast.outage.down = False
    eventually(lambda: not rig.machinery.breakers[0].is_open)
    assert [rig.engine.complete("Other?").layer for _ in range(2)] == ["l2", "l1"]


def test_without_any_store_the_provider_answers(rig: Rig) -> None:
    """A cache that is down costs money, never an error."""
    rig.fast.outage.down = rig.durable.outage.down = True
    rig.script.then("One.", "Two.")
    assert [rig.engine.complete("Really?").output for _ in range(2)] == ["One.", "Two."]
    rig.fast.outage.down = rig.durable.outage.down = False


def test_after_an_invalidation_that_l1_missed_the_next_answer_is_kept(rig: Rig) -> None:
    """L1 still names the old generation; the look-up knows better, for it asked L2 as well."""
    for text in ("old", "new"):
        rig.script.then(an_answer(text))
    rig.engine.complete("Really?")
    rig.durable.invalidate(Selection(tenant="default", namespace="default"))
    rig.clock.advance(PRICED.cache.l1_ttl * 2)
    assert ("provider", "l1") == (rig.layer("Really?"), rig.layer("Really?"))


def test_what_was_invalidated_while_the_provider_was_asked_is_not_kept(make_rig: MakeRig) -> None:
    """The caller gets the answer, the cache does not."""
    provider = GatedProvider()
    rig = make_rig(provider=provider)
    answers: list[str] = []
    caller = threading.Thread(target=lambda: answers.append(rig.engine.complete("Really?").output))
    caller.start()
    eventually(lambda: len(provider.requests) == 1)
    rig.engine.cache.invalidate(namespace="default")
    provider.gate.set()
    caller.join()
    assert answers == ["Answer to Really?"]
    assert rig.engine.complete("Really?").layer == "provider"


class StubbornLedger(MemoryLedger):
    """A ledger in which another row stands under every key."""

    def record(self, batch: LedgerBatch) -> None:
        """Refuse rows."""
        if batch.rows:
            raise LedgerConflict("Another ledger row stands under this call; give each call an id of its own.")


def test_a_conflict_in_the_ledger_is_not_the_callers(make_rig: MakeRig, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever asks gets the answer; the log tells what could not be booked."""
    rig = make_rig(ledger=StubbornLedger())
    rig.script.then("Yes.")
    assert [rig.engine.complete("Really?").layer for _ in range(2)] == ["provider", "l1"]
    assert rig.engine.ledger.flush()
    assert "cannot be written and is kept aside" in caplog.text


def test_rows_and_entries_carry_the_attribution(rig: Rig) -> None:
    """Who a call is booked to, and by which tags its answer is found again."""
    who = Attribution(user="alice", team="support", workflow="nightly", task_name="triage", tags=("red",))
    rig.script.then("Yes.", "Again.")
    rig.engine.complete("Really?", attribution=who)
    rig.engine.complete("Really?", attribution=replace(who, user="bob"))
    assert [row.attribution.user for row in rig.rows] == ["alice", "bob"]
    assert rig.engine.cache.invalidate(tag="red")[Layer.L2] == 1
    assert rig.engine.complete("Really?").output == "Again."


def test_every_caller_is_told_once(rig: Rig) -> None:
    """An event for each answer, wherever it came from."""
    rig.script.then("Yes.")
    for _ in range(3):
        rig.engine.complete("Really?")
    assert [event.completion.layer for event in rig.seen(Answered)] == ["provider", "l1", "l1"]


def test_look_ups_and_stores_are_counted(rig: Rig) -> None:
    """Each layer's statistics, waiting counts included."""
    rig.script.then("Yes.")
    for _ in range(3):
        rig.engine.complete("Really?")
    counted = {stats.layer: (stats.hits, stats.misses, stats.stores) for stats in rig.engine.cache.stats()}
    assert counted == {Layer.L1: (2, 1, 1), Layer.L2: (0, 1, 1)}


def test_a_corrupt_value_is_a_miss_and_repaired(rig: Rig) -> None:
    """The next layer answers, the bad value is replaced and counted."""
    rig.script.then("Yes.")
    rig.engine.complete("Really?")
    (address,) = [event.address for event in rig.seen(Answered)]
    rig.fast.plant(address, b"\x00rubbish")
    assert [rig.engine.complete("Really?").layer for _ in range(2)] == ["l2", "l1"]
    assert sum(event.corrupt for event in rig.seen(LookedUp)) == 1


def test_conversations_are_answered_like_texts(rig: Rig) -> None:
    """A list of messages that says the same shares the answer."""
    rig.script.then("Yes.")
    rig.engine.complete("Really?")
    assert rig.engine.complete([ModelRequest([UserPromptPart("Really?")])]).layer == "l1"
