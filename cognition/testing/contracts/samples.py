"""Addresses, entries and ledger rows for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from pydantic_ai.messages import BinaryImage, FilePart, ModelResponse, TextPart, ThinkingPart, ToolCallPart
from pydantic_ai.usage import RequestUsage

from cognition.domain.attribution import Attribution
from cognition.domain.completion import CompletionRequest
from cognition.domain.entry import Address, CacheEntry
from cognition.domain.fingerprint import address_of
from cognition.domain.ledger import LedgerRow
from cognition.domain.pricing import Cost

MODEL = "openai-chat:gpt-5-mini"
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LIFE = timedelta(minutes=5)

_CREATED = NOON - timedelta(minutes=1)


def an_address(prompt: str = "What is a circuit breaker?", tenant: str = "acme", namespace: str = "support") -> Address:
    """Return the address of a plain question."""
    return address_of(CompletionRequest(prompt=prompt, model=MODEL, tenant=tenant, namespace=namespace))


def an_answer(text: str = "It stops calls to a service that is down.") -> ModelResponse:
    """Return a finished answer of one text."""
    return ModelResponse(
        parts=[TextPart(text)],
        usage=RequestUsage(input_tokens=12, output_tokens=9, details={"reasoning_tokens": 0}),
        model_name="gpt-5-mini",
        provider_name="openai",
        provider_response_id="chatcmpl-1",
        provider_details={"finish_reason": "stop"},
        finish_reason="stop",
        timestamp=_CREATED,
    )


def a_rich_answer() -> ModelResponse:
    """Return an answer that has every kind of part a model gives."""
    return ModelResponse(
        parts=[
            ThinkingPart("First I think.", signature="c2lnbmVk"),
            TextPart('Then I say: "naïve façade", שלום, 你好, 👩‍🚀.\n\t\x00'),
            ToolCallPart(
                "search", {"query": None, "limits": [1, 2.5, True], "nested": {"a": {}}}, tool_call_id="call-1"
            ),
            ToolCallPart("search", '{"query": "text"}', tool_call_id="call-2"),
            FilePart(BinaryImage(bytes(range(256)), media_type="image/png", identifier="plot")),
        ],
        usage=RequestUsage(input_tokens=1, cache_read_tokens=2, output_tokens=3, details={"reasoning_tokens": 4}),
        model_name="gpt-5-mini",
        finish_reason="tool_call",
        timestamp=_CREATED,
    )


def an_entry(address: Address, text: str = "It stops calls to a service that is down.", **changes: Any) -> CacheEntry:
    """Return an entry for an address that is fresh at `NOON` and for `LIFE` after.

    Args:
        address: Where it belongs.
        text: The answer.
        **changes: Fields of `CacheEntry` with other values.
    """
    entry = CacheEntry(
        key=address.key.hex(),
        generation=1,
        model=MODEL,
        requested_model=MODEL,
        response=an_answer(text),
        cost_usd=Decimal("0.000123456"),
        created_at=_CREATED,
        expires_at=NOON + LIFE,
        request_id=uuid4().hex,
        tags=("team:support",),
    )
    return replace(entry, **changes)


def a_row(cost_usd: str | None = "0.001", **changes: Any) -> LedgerRow:
    """Return the ledger row of a successful attempt at `NOON`.

    Args:
        cost_usd: What it cost, None when the price is unknown.
        **changes: Fields of `LedgerRow` with other values.
    """
    row = LedgerRow(
        tenant="acme",
        namespace="support",
        attribution=Attribution(workflow="nightly", user="alice", team="support"),
        request_id=uuid4().hex,
        request_key=an_address().key,
        model=MODEL,
        requested_model=MODEL,
        usage=RequestUsage(input_tokens=12, output_tokens=9),
        cost=None if cost_usd is None else Cost(usd=Decimal(cost_usd), source="genai-prices", version="1"),
        latency_ms=100.0,
        created_at=NOON,
    )
    return replace(row, **changes)
