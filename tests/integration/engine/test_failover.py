"""What Failover Bench asks of a client, against providers that speak HTTP: each fault ends as the table says.

`benchmarks/failover.py` plays the published scenarios with their own times; here are the essentials, without waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from benchmarks._failover_faults import ANSWER, PLAIN, STREAMED, prefill_refused
from benchmarks.failover import STREAMING
from cognition import Cognition, Completion, Credentials, Fallback, ResiliencePolicy, RetryLater
from cognition.errors import ProviderUnavailable, RequestRejected
from cognition.testing import CutConnection, FakeOpenAI, Fault, Hang, Reply, Step
from tests.integration.engine.stage import API_KEY, MODEL, Stage

OTHER = "openai-chat:gpt-5-nano"
QUERY = "SELECT attempt, status, error FROM llm_cost_tracking WHERE request_id = :id ORDER BY attempt"
QUICK = ResiliencePolicy(attempts=3, initial_backoff=timedelta(milliseconds=1), attempt_timeout=timedelta(seconds=20))
HASTY = ResiliencePolicy(attempts=3, initial_backoff=timedelta(milliseconds=1), attempt_timeout=timedelta(seconds=1))


@pytest.fixture
def other() -> Iterator[FakeOpenAI]:
    """The fallback's provider."""
    with FakeOpenAI(default=Reply(text=ANSWER), api_key="other") as fake:
        yield fake


@pytest.fixture
def engine(stage: Stage) -> Cognition:
    """Return an engine that has asked before, so that no SDK is imported while a test is timed."""
    engine = stage.open()
    stage.ask(engine, "Is anybody there?")
    stage.provider.reset()
    return engine


def ask(stage: Stage, engine: Cognition, other: FakeOpenAI, **options: Any) -> Completion[str]:
    """Ask the first model, with a fallback at the other provider."""
    fallback = Fallback(OTHER, Credentials(api_key="other", base_url=other.base_url))
    asked: dict[str, Any] = {"fallbacks": [fallback], "cache": "bypass", "resilience": QUICK, **options}
    return stage.ask(engine, **asked)


@pytest.mark.parametrize(
    ("fault", "attempts"),
    [
        (Fault(status=500), 3),
        (Fault(status=503), 3),
        (Fault(status=529), 3),
        (Fault(status=429), 3),
        (CutConnection(), 3),
        (CutConnection(after_bytes=40), 3),
        (Fault(status=402), 1),
        (Fault(status=429, error_code="insufficient_quota"), 1),
        (Fault(status=429, headers={"retry-after": "300"}), 1),
        (Fault(status=400, error_code="context_length_exceeded"), 1),
    ],
    ids=repr,
)
def test_the_fallback_answers(stage: Stage, engine: Cognition, other: FakeOpenAI, fault: Fault, attempts: int) -> None:
    """After as many attempts as the fault deserves; the completion says who answered and what it took."""
    stage.provider.default = fault

    done = ask(stage, engine, other)

    assert (OTHER, MODEL, attempts + 1) == (done.model, done.requested_model, done.attempts)
    assert (attempts, 1) == (stage.provider.count, other.count)
    assert done.usage.output_tokens > 0


@pytest.mark.parametrize("fault", [Fault(status=500), CutConnection(), Fault(status=429)], ids=repr)
def test_a_fault_that_passes_needs_no_fallback(
    stage: Stage, engine: Cognition, other: FakeOpenAI, fault: Fault
) -> None:
    """The second attempt is answered."""
    stage.provider.script(fault)
    assert (MODEL, 2, 0) == ((done := ask(stage, engine, other)).model, done.attempts, other.count)


@pytest.mark.parametrize("headers", [{"retry-after": "1"}, {"retry-after-ms": "1000"}], ids=str)
def test_the_provider_s_wait_is_kept(stage: Stage, engine: Cognition, other: FakeOpenAI, headers: Any) -> None:
    """However it is said."""
    stage.provider.script(Fault(status=429, headers=headers))
    assert MODEL == ask(stage, engine, other).model
    first, second = stage.provider.calls
    assert (second.at - first.at).total_seconds() >= 1


@pytest.mark.parametrize("scenario", ["S06", "S07", "S09"])
def test_silence_is_waited_for_once(stage: Stage, engine: Cognition, other: FakeOpenAI, scenario: str) -> None:
    """Whether it comes before the headers, behind them or in the middle of the answer."""
    stage.provider.default = next(PLAIN[scenario]())
    assert OTHER == ask(stage, engine, other, resilience=HASTY).model
    assert 1 == stage.provider.count


def test_without_a_fallback_silence_is_waited_for_twice(stage: Stage, engine: Cognition) -> None:
    """Then the caller hears of it."""
    stage.provider.default = Hang()
    with pytest.raises(Exception, match="gave no answer in 1 seconds"):
        stage.ask(engine, resilience=HASTY)
    assert 2 == stage.provider.count


def test_the_callers_error_is_told_and_costs_one_call(stage: Stage, engine: Cognition, other: FakeOpenAI) -> None:
    """A filtered prompt is not carried to another model."""
    stage.provider.default = Fault(status=400, error_code="content_policy_violation")
    with pytest.raises(RequestRejected) as caught:
        ask(stage, engine, other)
    assert ("content_filter", 1, 0) == (caught.value.reason, stage.provider.count, other.count)


def test_without_a_fallback_a_long_wait_is_a_time_to_come_back(stage: Stage, engine: Cognition) -> None:
    """And no worker sleeps."""
    stage.provider.default = Fault(status=429, headers={"retry-after": "300"})
    with pytest.raises(RetryLater) as caught:
        stage.ask(engine)
    assert stage.clock.now + timedelta(seconds=300) == caught.value.at
    assert 1 == stage.provider.count


@pytest.mark.parametrize("scenario", ["S08", "S10", "S14"])
def test_a_cut_answer_is_never_a_success(stage: Stage, engine: Cognition, other: FakeOpenAI, scenario: str) -> None:
    """The fallback gets the same question, not the beginning of an answer to go on with."""
    stage.provider.default = next(PLAIN[scenario]())
    other.default = prefill_refused
    assert ANSWER == ask(stage, engine, other).text
    assert (3, 1) == (stage.provider.count, other.count)


@pytest.mark.parametrize("scenario", ["S08", "S10", "S14"])
def test_a_cut_stream_is_never_a_success(engine: Cognition, scenario: str) -> None:
    """Anthropic's answers are streamed behind the scenes, and one that ends early looks like a short one."""
    assert 3 == len(attempts_at_a_stream(engine, next(STREAMED[scenario]())))


def test_a_stream_that_only_lacks_its_end_mark_is_whole(stage: Stage, engine: Cognition) -> None:
    """It said why it stopped."""
    with FakeOpenAI(default=next(STREAMED["S11"]())) as fake:
        done = stage.ask(engine, model=STREAMING, credentials=Credentials(api_key=API_KEY, base_url=fake.url))
    assert ANSWER == done.text


def test_an_answer_without_a_reason_to_end_is_paid_for_and_asked_again(stage: Stage, engine: Cognition) -> None:
    """Both stand in the ledger."""
    stage.provider.script(Reply(text="Half an", finish_reason=None), Reply(text="A whole answer."))
    done = stage.ask(engine, resilience=QUICK)
    assert "A whole answer." == done.text
    engine.ledger.flush()
    rows = stage.sql(QUERY, id=done.request_id)
    assert [(1, "failed_billed", "ProviderUnavailable"), (2, "ok", None)] == [tuple(row.values()) for row in rows]


def attempts_at_a_stream(engine: Cognition, step: Step) -> list[Any]:
    """Return the calls that a streaming provider gets when it never ends an answer well."""
    with FakeOpenAI(default=step) as fake:
        with pytest.raises(ProviderUnavailable):
            engine.complete(
                "What is a circuit breaker?",
                model=STREAMING,
                credentials=Credentials(api_key=API_KEY, base_url=fake.url),
                resilience=QUICK,
                cache="bypass",
            )
        return fake.calls
