"""The pipeline as a whole: in which order things happen, and what each part is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from cognition.domain.completion import CompletionRequest, Credentials
from cognition.domain.routing import Fallback, Route, Target, chain_of, fallbacks_of
from cognition.errors import (
    BulkheadFull,
    CallNotPermitted,
    CircuitOpen,
    CognitionError,
    ConfigurationError,
    OutputInvalid,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    RetryLater,
)
from cognition.resilience.bulkhead import Bulkheads, Quota
from cognition.resilience.pipeline import Pipeline
from cognition.resilience.policy import Gate, ResiliencePolicy, Rules
from cognition.resilience.retry_budget import RetryBudgets
from tests.unit.passing_time import FIRST, SECOND, THIRD, CountingBreakers, PassingTime, Told, chain

PLAIN = ResiliencePolicy(attempts=2, jitter=0)


@dataclass
class Rig:
    """A pipeline and models that answer from scripts."""

    time: PassingTime = field(default_factory=PassingTime)
    told: Told = field(default_factory=Told)
    asked: list[str] = field(default_factory=list[str])
    seconds: list[float] = field(default_factory=list[float])
    scripts: dict[str, list[BaseException]] = field(default_factory=dict[str, list[BaseException]])
    slow: float = 0.0

    def __post_init__(self) -> None:
        """Put it together."""
        self.breakers = CountingBreakers(self.time)
        self.bulkheads = Bulkheads()
        self.pipeline = Pipeline(self.breakers, self.bulkheads, RetryBudgets(), self.time.timing)

    async def attempt(self, target: Target, seconds: float) -> str:
        """Raise the next error of a model, or answer with its name."""
        self.asked.append(target.model)
        self.seconds.append(seconds)
        self.time.let_pass(self.slow)
        script = self.scripts.get(target.model, [])
        if script:
            raise script.pop(0)
        return target.model

    def run(self, *models: str, policy: ResiliencePolicy = PLAIN, gate: Gate | None = None) -> str:
        """Ask a chain of models."""
        rules = Rules(policy) if gate is None else Rules(policy, gate)
        return asyncio.run(self.pipeline.run(chain(*models), self.attempt, rules, self.told))


@pytest.fixture
def rig() -> Rig:
    """Return a pipeline whose models answer at once."""
    return Rig()


def down(**data: Any) -> ProviderUnavailable:
    """Return an error that may pass."""
    return ProviderUnavailable("It is overloaded; try later.", provider="p", model="m", status=503, **data)


def refused(kind: type[CognitionError], **data: Any) -> CognitionError:
    """Return another error."""
    return kind("No.", **({"provider": "p", "model": "m", "status": 400} | data))


def named(value: Any) -> str:
    """Return the name of a case."""
    return type(value).__name__ if isinstance(value, BaseException) else ", ".join(value)


def test_a_good_answer_is_a_success(rig: Rig) -> None:
    """Asked once, with the time of one attempt."""
    assert FIRST == rig.run(FIRST, SECOND)
    assert ([FIRST], [60.0]) == (rig.asked, rig.seconds)
    assert {FIRST: ["success"]} == rig.breakers.told


@pytest.mark.parametrize(
    ("error", "verdicts"),
    [
        (down(), ["failure: ProviderUnavailable", "success"]),
        (down(retry_after=3.0), ["failure: ProviderUnavailable for 3 s", "success"]),
        (refused(ProviderTimeout), ["failure: ProviderTimeout", "success"]),
        (refused(RateLimited, retry_after=2.0), ["ignored", "cool down 2 s: rate limited", "success"]),
        (refused(RateLimited, retry_after=None), ["ignored", "success"]),
        (refused(OutputInvalid), ["ignored", "success"]),
    ],
    ids=named,
)
def test_the_breaker_is_told_what_each_attempt_says(rig: Rig, error: CognitionError, verdicts: list[str]) -> None:
    """The rows of the table of classification that are asked again; the wait outlasts the cool-down."""
    rig.scripts[FIRST] = [error]
    assert FIRST == rig.run(FIRST)
    assert verdicts == rig.breakers.told[FIRST]


@pytest.mark.parametrize(
    ("error", "verdicts"),
    [
        (refused(QuotaExhausted), ["ignored", "cool down 3600 s: quota"]),
        (refused(RequestRejected), ["ignored"]),
        (ZeroDivisionError(), ["nothing"]),
        (asyncio.CancelledError(), ["nothing"]),
    ],
    ids=named,
)
def test_what_does_not_pass_is_asked_once(rig: Rig, error: BaseException, verdicts: list[str]) -> None:
    """The other rows."""
    rig.scripts[FIRST] = [error]
    with pytest.raises(type(error)):
        rig.run(FIRST)
    assert ([FIRST], verdicts) == (rig.asked, rig.breakers.told[FIRST])


def test_the_next_model_answers(rig: Rig) -> None:
    """After all attempts at the first one, each seen by its own breaker."""
    rig.scripts[FIRST] = [down(), down()]
    assert SECOND == rig.run(FIRST, SECOND, THIRD)
    assert [FIRST, FIRST, SECOND] == rig.asked
    assert {FIRST: ["failure: ProviderUnavailable"] * 2, SECOND: ["success"]} == rig.breakers.told
    assert [
        ("retrying", "1", "ProviderUnavailable"),
        ("falling back", FIRST, SECOND, "ProviderUnavailable"),
    ] == rig.told.what


@pytest.mark.parametrize(
    "error",
    [
        refused(QuotaExhausted),
        refused(ProviderTimeout),
        refused(RateLimited, retry_after=300.0),
        refused(RequestRejected, reason="context_length"),
        CircuitOpen("Open.", breaker="b", state="open", retry_after=9.0),
        BulkheadFull.of("s", 1, 0),
    ],
    ids=named,
)
def test_what_another_model_may_do_better_is_given_to_it_at_once(rig: Rig, error: CognitionError) -> None:
    """No second attempt, no wait."""
    rig.scripts[FIRST] = [error]
    assert SECOND == rig.run(FIRST, SECOND)
    assert ([FIRST, SECOND], []) == (rig.asked, rig.time.waits)


@pytest.mark.parametrize("reason", ["request", "key", "model", "content_filter"])
def test_the_callers_own_error_is_heard_and_not_hidden(rig: Rig, reason: str) -> None:
    """A wrong key must not quietly make every call go to the fallback."""
    rig.scripts[FIRST] = [refused(RequestRejected, reason=reason)]
    with pytest.raises(RequestRejected):
        rig.run(FIRST, SECOND)
    assert [FIRST] == rig.asked


def test_the_last_error_tells_of_the_others(rig: Rig) -> None:
    """It is the last model's, with a note for each before it."""
    rig.scripts = {FIRST: [refused(QuotaExhausted)], SECOND: [down(), down()]}
    with pytest.raises(ProviderUnavailable) as caught:
        rig.run(FIRST, SECOND)
    assert ["This was attempt 2 of at most 2.", f"{FIRST} did not answer either: No."] == caught.value.notes


def test_the_earliest_time_to_come_back_wins(rig: Rig) -> None:
    """When no model answers, the caller learns when one may."""
    rig.scripts = {
        FIRST: [refused(RateLimited, retry_after=500.0)],
        SECOND: [refused(RateLimited, retry_after=300.0)],
        THIRD: [down(), down()],
    }
    with pytest.raises(RetryLater) as caught:
        rig.run(FIRST, SECOND, THIRD)
    assert 300.0 == (caught.value.at - rig.time.began).total_seconds()
    assert isinstance(caught.value.__cause__, RateLimited)


def test_a_time_to_come_back_does_not_hide_the_callers_error(rig: Rig) -> None:
    """Coming back would not help."""
    rig.scripts = {FIRST: [refused(RateLimited, retry_after=500.0)], SECOND: [refused(RequestRejected)]}
    with pytest.raises(RequestRejected):
        rig.run(FIRST, SECOND)


def test_an_open_breaker_costs_no_attempt(rig: Rig) -> None:
    """After five failures the fallback is asked at once."""
    rig.scripts[FIRST] = [down() for _ in range(9)]
    policy = ResiliencePolicy(attempts=9, jitter=0)
    assert SECOND == rig.run(FIRST, SECOND, policy=policy)
    assert 5 == rig.asked.count(FIRST)
    assert [1.0, 2.0, 4.0, 8.0] == rig.time.waits  # and none after the fifth, which opened it
    assert SECOND == rig.run(FIRST, SECOND, policy=policy)
    assert 5 == rig.asked.count(FIRST)


def test_the_deadline_is_the_whole_chains(rig: Rig) -> None:
    """What the first model used up is missing for the second; when nothing is left no other model is asked."""
    rig.slow = 40.0
    rig.scripts = {model: [refused(ProviderTimeout, status=None)] for model in (FIRST, SECOND)}
    policy = ResiliencePolicy(attempts=2, jitter=0, deadline=timedelta(seconds=70))
    with pytest.raises(ProviderTimeout):
        rig.run(FIRST, SECOND, THIRD, policy=policy)
    assert ([FIRST, SECOND], [60.0, 30.0]) == (rig.asked, rig.seconds)
    # The second had half of the time; that it did not answer in it is no failure of its provider.
    assert {FIRST: ["failure: ProviderTimeout"], SECOND: ["ignored"]} == rig.breakers.told


def test_a_deadline_shorter_than_an_attempt_does_not_hide_that_a_provider_hangs(rig: Rig) -> None:
    """The first attempt has all the time that there is."""
    rig.slow = 10.0
    rig.scripts[FIRST] = [refused(ProviderTimeout, status=None)]
    with pytest.raises(ProviderTimeout):
        rig.run(FIRST, policy=ResiliencePolicy(jitter=0, deadline=timedelta(seconds=10)))
    assert {FIRST: ["failure: ProviderTimeout"]} == rig.breakers.told


def test_a_timeout_that_the_provider_itself_reports_counts_however_late(rig: Rig) -> None:
    """Status 408 or 504 is its own word."""
    rig.slow = 40.0
    rig.scripts = {model: [refused(ProviderTimeout, status=504)] for model in (FIRST, SECOND)}
    with pytest.raises(ProviderTimeout):
        rig.run(FIRST, SECOND, policy=ResiliencePolicy(jitter=0, deadline=timedelta(seconds=70)))
    assert {one: ["failure: ProviderTimeout"] for one in (FIRST, SECOND)} == rig.breakers.told


async def test_a_full_bulkhead_is_no_failure_of_the_provider(rig: Rig) -> None:
    """Nothing is known of the provider then."""
    policy = ResiliencePolicy(max_concurrent=1, max_waiting=0)
    async with rig.bulkheads.of(FIRST).place(Quota(1, 0)):
        with pytest.raises(BulkheadFull):
            await rig.pipeline.run(chain(FIRST), rig.attempt, Rules(policy), rig.told)
    assert ([], ["nothing"]) == (rig.asked, rig.breakers.told[FIRST])


async def test_a_back_off_holds_no_place(rig: Rig) -> None:
    """Another call gets in meanwhile."""
    rig.scripts[FIRST] = [down()]
    seen: list[int] = []

    async def sleep(seconds: float) -> None:
        seen.append(rig.bulkheads.of(FIRST).utilisation.in_use)
        rig.time.let_pass(seconds)

    timing = rig.time.timing
    object.__setattr__(timing, "sleep", sleep)
    pipeline = Pipeline(rig.breakers, rig.bulkheads, RetryBudgets(), timing)
    await pipeline.run(chain(FIRST), rig.attempt, Rules(PLAIN), rig.told)
    assert [0] == seen


def test_each_attempt_goes_through_the_gate(rig: Rig) -> None:
    """The limit that processes share is held for an attempt, not for a wait."""
    gates: list[str] = []

    @asynccontextmanager
    async def gate() -> AsyncGenerator[None]:
        gates.append(f"in {len(rig.asked)}")
        yield
        gates.append(f"out {len(rig.asked)}")

    rig.scripts[FIRST] = [down()]
    rig.run(FIRST, gate=gate)
    # The second one does not say when it left, because an error went through it; a real gate uses `finally`.
    assert ["in 0", "in 1", "out 2"] == gates


async def test_a_provider_is_not_blamed_for_a_wait_in_this_process(rig: Rig) -> None:
    """When the time runs out in the queue, no attempt is made and the breaker learns nothing."""
    rig.scripts[FIRST] = [down()]
    rig.slow = 1.0

    @asynccontextmanager
    async def crowded() -> AsyncGenerator[None]:
        rig.time.let_pass(100.0 if rig.asked else 0.0)
        yield

    policy = ResiliencePolicy(attempts=3, jitter=0, deadline=timedelta(seconds=60))
    with pytest.raises(CallNotPermitted, match="ran out while it waited"):
        await rig.pipeline.run(chain(FIRST), rig.attempt, Rules(policy, crowded), rig.told)
    assert ["failure: ProviderUnavailable", "ignored"] == rig.breakers.told[FIRST]


def test_a_fallback_of_the_same_provider_uses_the_calls_credentials() -> None:
    """Another provider's are its own, or the environment's; the same model is not asked twice."""
    mine, theirs = Credentials(api_key="a", base_url="http://here/v1"), Credentials(api_key="b")
    request = CompletionRequest(prompt="?", model="openai-chat:gpt-5", credentials=mine, endpoint=mine.base_url)
    fallbacks = fallbacks_of(
        ["openai-chat:gpt-5-mini", Fallback("openai-chat:gpt-5"), "mistral:large", Fallback("anthropic:haiku", theirs)]
    )

    targets = chain_of(request, [Route(one, "http://there") for one in fallbacks], None)

    assert [
        ("openai-chat:gpt-5", mine, "http://here/v1"),
        ("openai-chat:gpt-5-mini", mine, "http://here/v1"),
        ("mistral:large", Credentials(), "http://there"),
        ("anthropic:haiku", theirs, "http://there"),
    ] == [(one.model, one.request.credentials, one.request.endpoint) for one in targets]
    assert 4 == len({one.breaker for one in targets})
    assert {one.model for one in targets} == {one.service for one in targets}


def test_a_second_account_is_a_fallback() -> None:
    """The same model at the same server, paid by another key, has a breaker of its own."""
    request = CompletionRequest(prompt="?", model=FIRST, credentials=Credentials(api_key="a"))
    targets = chain_of(request, [Route(Fallback(FIRST, Credentials(api_key="b")))], None)
    assert 2 == len({target.breaker for target in targets})


def test_models_may_share_a_service() -> None:
    """Then they share its places."""
    assert {"gpu"} == {target.service for target in chain(FIRST, SECOND, service="gpu")}


@pytest.mark.parametrize("name", ["gpt-5", ":gpt-5", "openai:"])
def test_a_fallback_names_its_provider(name: str) -> None:
    """The sentence says how."""
    with pytest.raises(ConfigurationError, match="'provider:model'"):
        Fallback(name)
