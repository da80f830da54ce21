"""What is particular to the adapters in memory."""

from __future__ import annotations

import pytest
from pydantic_ai.messages import ModelResponse, TextPart

from cognition.adapters.memory import MemoryEntries, ScriptedProvider
from cognition.domain.completion import CompletionRequest
from cognition.domain.entry import Found
from cognition.errors import ConfigurationError, ProviderTimeout
from cognition.testing.clock import FakeClock
from cognition.testing.contracts.samples import LIFE, an_address, an_entry

REQUEST = CompletionRequest(prompt="Is it up?", model="openai-chat:gpt-5-mini")


def test_the_oldest_entries_are_evicted() -> None:
    """L1 in the process has a bound; what was put first goes first, and putting again makes young."""
    store = MemoryEntries(FakeClock(), max_entries=2)
    first, second, third = (an_address(prompt) for prompt in ("first", "second", "third"))
    for address in (first, second, first, third):
        store.put([(address, an_entry(address))])
    assert [True, False, True] == [found.entry is not None for found in store.get_many([first, second, third])]


def test_expired_entries_take_no_memory() -> None:
    """An entry that is found expired is dropped."""
    clock, address = FakeClock(), an_address()
    store = MemoryEntries(clock)
    store.put([(address, an_entry(address))])
    clock.advance(LIFE)
    store.get(address)
    assert 0 == len(store)


def test_clear_loses_everything() -> None:
    """As after FLUSHALL in Redis, also the generation is gone."""
    address = an_address()
    store = MemoryEntries(FakeClock())
    store.put([(address, an_entry(address))])
    store.clear()
    assert Found() == store.get(address)


async def test_a_scripted_provider_answers_in_order() -> None:
    """Texts become finished answers, whole answers are given as they are, errors are raised; each call is noted."""
    whole = ModelResponse(parts=[TextPart("no")], finish_reason="length")
    timeout = ProviderTimeout("Too late.", provider="openai", model=REQUEST.model, status=None)
    provider = ScriptedProvider("yes", timeout)
    provider.then(whole)
    answer = await provider.ask(REQUEST)
    assert ("yes", "stop", "gpt-5-mini") == (answer.text, answer.finish_reason, answer.model_name)
    with pytest.raises(ProviderTimeout):
        await provider.ask(REQUEST)
    assert whole is await provider.ask(REQUEST)
    assert ([REQUEST] * 3, 3) == (provider.requests, provider.calls)


async def test_a_script_that_is_too_short_says_so() -> None:
    """An unexpected call fails loudly and is counted."""
    provider = ScriptedProvider()
    with pytest.raises(ConfigurationError, match="no answer left"):
        await provider.ask(REQUEST)
    await provider.close()
    assert (1, True) == (provider.calls, provider.closed)
