"""What happens in an engine becomes Prefect events, with the run and the deployment it happened in."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
import sqlalchemy as sa
from prefect import flow, task
from prefect.events.schemas.events import Event
from prefect.settings import PREFECT_API_URL, temporary_settings

from cognition.adapters.postgres.breakers import PostgresBreakers
from cognition.domain.breaker import BreakerKey, BreakerPolicy, BreakerVerdict
from cognition.domain.breaker_standing import BreakerResult
from cognition.errors import CircuitOpen, ProviderError
from cognition.testing import FakeOpenAI, Fault, Reply
from cognition_blocks import CachedLLM
from cognition_blocks.store import environment_settings, settings_of
from tests.acceptance.told import told

PROMPT = "a-prompt-that-nobody-may-see"
ANSWER = "an-answer-that-nobody-may-see"


@pytest.fixture
def llm(llm: CachedLLM) -> CachedLLM:
    """Return a model with a name of its own, so that events of other tests are not met."""
    return llm.model_copy(update={"model_name": f"openai-chat:gpt-{uuid4().hex[:8]}", "namespace": uuid4().hex})


def related(event: Event) -> set[str]:
    """Return the ids that an event is related to."""
    return {one.id for one in event.related}


def test_a_breaker_that_opens_is_told_with_its_run(llm: CachedLLM, provider: FakeOpenAI, engine: sa.Engine) -> None:
    """By the call that met it; what a person orders is told too, in that person's words."""
    provider.default = Fault(status=500)
    careless = llm.model_copy(update={"attempts": 1, "failure_threshold": 2})
    key = BreakerKey.of(llm.request(PROMPT))
    # What one worker alone sees opens no breaker for all.
    elsewhere = BreakerResult(verdict=BreakerVerdict.FAILURE, generation=1, worker="elsewhere", error="ProviderTimeout")
    PostgresBreakers(engine, "default").record(key, BreakerPolicy(failure_threshold=2), elsewhere)
    ids: dict[str, str] = {}

    @task
    def ask() -> None:
        with pytest.raises(ProviderError):
            careless.complete(PROMPT)

    @flow(name="breaking")
    def breaking() -> None:
        from prefect.runtime import flow_run  # noqa: PLC0415  it reads the run when it is asked

        ids["run"] = str(flow_run.id)
        ask()
        with pytest.raises(CircuitOpen):
            careless.complete(f"{PROMPT} 2")

    breaking()
    resource = f"cognition.breaker.{key}"
    (opened,) = told("cognition.breaker.opened", resource)
    assert f"prefect.flow-run.{ids['run']}" in related(opened)
    figures = {name: opened.payload[name] for name in ("from", "to", "shared", "consecutive_failures")}
    assert {"from": "closed", "to": "open", "shared": True, "consecutive_failures": 2} == figures

    llm.engine.breakers.force(key, "forced_open", by="alice", reason="maintenance")
    llm.engine.breakers.reset(key, by="alice")
    (forced,), (closed,) = (told(f"cognition.breaker.{name}", resource) for name in ("forced", "closed"))
    assert ("alice", "maintenance", "forced_open") == tuple(forced.payload[name] for name in ("actor", "reason", "to"))
    assert "reset" == closed.payload["cause"]


def test_answers_declared_wrong_are_told(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """With counts by layer, and no word of what was asked or answered."""
    provider.default = Reply(text=ANSWER)
    first = llm.complete(PROMPT)
    llm.report_bad_hit(first.request_id)
    llm.complete(PROMPT)
    llm.invalidate()

    resource = f"cognition.cache.default.{llm.namespace}"
    (bad,) = told("cognition.cache.bad_hit", resource)
    dropped = told("cognition.cache.invalidated", resource, 2)
    assert (first.request_id, "provider", False) == tuple(
        bad.payload[name] for name in ("request_id", "layer", "similar")
    )
    assert [1, 1] == [event.payload["dropped"]["l2"] for event in dropped]
    text = json.dumps([event.model_dump(mode="json") for event in (bad, *dropped)])
    assert PROMPT not in text
    assert ANSWER not in text


def test_without_the_address_of_a_server_nothing_is_told(llm: CachedLLM) -> None:
    """Prefect would start a server for it; the next event that is told shows that nothing came before."""
    with temporary_settings({PREFECT_API_URL: None}):
        llm.invalidate()
    llm.invalidate()
    assert 1 == len(told("cognition.cache.invalidated", f"cognition.cache.default.{llm.namespace}"))


def test_events_can_be_switched_off(llm: CachedLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the environment; the next event that is told shows that nothing came before."""
    monkeypatch.setenv("COGNITION_PREFECT_EVENTS", "false")
    settings_of.cache_clear()
    environment_settings.cache_clear()
    llm.invalidate()
    monkeypatch.undo()
    settings_of.cache_clear()
    environment_settings.cache_clear()
    llm.invalidate()
    assert 1 == len(told("cognition.cache.invalidated", f"cognition.cache.default.{llm.namespace}"))
