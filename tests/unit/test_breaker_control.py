"""Who shares a breaker, what a refusal says, and what people do to breakers."""

from __future__ import annotations

from typing import Any

import pytest

from cognition import BreakerKey, CircuitOpen, Credentials
from cognition.domain.breaker import BreakerPolicy, BreakerState
from cognition.domain.completion import CompletionRequest
from cognition.errors import ConfigurationError
from cognition.events import BreakerChanged
from tests.unit.memory_engine import MODEL, Rig

KEY = BreakerKey("openai-chat", "gpt-5-mini")


def key_of(**fields: Any) -> BreakerKey:
    """Return the key of a request's breaker."""
    return BreakerKey.of(CompletionRequest(prompt="What?", model=MODEL, **fields))


# -- keys -------------------------------------------------------------------------------------------------------------


def test_a_breaker_belongs_to_a_model_and_an_account() -> None:
    """Another key or another address is another account, whose limits are its own."""
    known = Credentials(api_key="sk-secret")
    keys = [
        key_of(),
        key_of(credentials=known),
        key_of(credentials=Credentials(api_key="sk-other")),
        key_of(endpoint="https://proxy.example"),
        key_of(credentials=known, endpoint="https://proxy.example"),
    ]
    assert 5 == len(set(keys))
    assert key_of(credentials=known) == key_of(credentials=Credentials(api_key="sk-secret"))
    assert KEY == keys[0]


def test_a_key_shows_no_secret() -> None:
    """Neither the API key nor the address, which may hold a password."""
    key = key_of(credentials=Credentials(api_key="sk-secret"), endpoint="https://user:password@proxy.example")
    assert f"openai-chat:gpt-5-mini@{key.credential_scope}" == str(key)
    assert 12 == len(key.credential_scope)
    assert "secret" not in repr(key)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("openai-chat:gpt-5-mini", KEY),
        ("openai-chat:gpt-5-mini@default", KEY),
        ("google-vertex:claude@20250101@0123456789ab", BreakerKey("google-vertex", "claude@20250101", "0123456789ab")),
        ("ollama:llama3:8b@default", BreakerKey("ollama", "llama3:8b")),
    ],
)
def test_a_text_names_a_breaker(text: str, expected: BreakerKey) -> None:
    """Names of models hold colons and at-signs."""
    assert expected == BreakerKey.parse(text)
    assert expected == BreakerKey.parse(str(expected))


@pytest.mark.parametrize("text", ["", "gpt-5-mini", ":gpt-5-mini", "openai:", "openai:gpt-5-mini@"])
def test_other_texts_name_none(text: str) -> None:
    """The sentence says how one is written."""
    with pytest.raises(ConfigurationError, match="provider:model@scope"):
        BreakerKey.parse(text)


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "retry_after", "said"),
    [
        ("open", 0.2, "is open; try again in 1 seconds or name a fallback model."),
        ("cooling_down", 30.0, "is cooling down; try again in 30 seconds or name a fallback model."),
        ("half_open", None, "is half open and its probes are running; try again later or name a fallback model."),
        ("forced_open", None, f"was opened by a person; ask who did, or run 'cognition breaker reset {KEY}'."),
    ],
)
def test_a_refusal_says_what_to_do(state: str, retry_after: float | None, said: str) -> None:
    """And carries what it says as data."""
    error = CircuitOpen.of(str(KEY), state, retry_after)
    assert f"The circuit breaker {KEY} {said}" == str(error)
    assert (str(KEY), state, retry_after, False) == (error.breaker, error.state, error.retry_after, error.retryable)


# -- people -----------------------------------------------------------------------------------------------------------


def test_people_force_and_reset(rig: Rig) -> None:
    """By key or text; the list shows it, the history keeps it, and each change is an event."""
    control = rig.engine.breakers
    assert [] == control.list()
    control.force(str(KEY), "forced_open", by="alice", reason="maintenance")
    (listed,) = control.list()
    assert (KEY, BreakerState.FORCED_OPEN) == (listed.key, listed.state)
    control.reset(KEY, by="bob")
    assert [("bob", "reset"), ("alice", "maintenance")] == [(one.actor, one.reason) for one in control.history(KEY)]
    assert ["forced_open", "closed"] == [event.transition.to_state for event in rig.seen(BreakerChanged)]
    assert ([], 1) == (control.history("openai:other"), len(control.history(limit=1)))


@pytest.mark.parametrize("state", ["open", "half_open", "closed", "ajar"])
def test_only_forced_states_can_be_forced(rig: Rig, state: str) -> None:
    """The sentence names them."""
    with pytest.raises(ConfigurationError, match="forced_open, disabled, metrics_only"):
        rig.engine.breakers.force(KEY, state, by="alice", reason="trial")


def test_an_order_holds_at_once_in_its_own_process(rig: Rig) -> None:
    """Calls do not go on by the copy that was taken before."""
    circuits, loop = rig.machinery.circuits, rig.machinery.loop

    async def call() -> None:
        async with circuits.passage(KEY, BreakerPolicy()) as passage:
            passage.success()

    loop.call(call())
    rig.engine.breakers.force(KEY, "forced_open", by="alice", reason="maintenance")
    with pytest.raises(CircuitOpen):
        loop.call(call())
    rig.engine.breakers.reset(KEY, by="alice")
    loop.call(call())
