"""The codes of real APIs through the real SDKs: what each of them says about the provider."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cognition.adapters.providers import ModelProvider
from cognition.domain.completion import CompletionRequest, Credentials
from cognition.errors import ProviderError
from cognition.testing import FakeOpenAI, Fault

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "retry-vectors" / "vectors.json"
OPENAI, ANTHROPIC = "openai-chat:gpt-5-mini", "anthropic:claude-haiku-4-5"


@pytest.fixture
async def provider() -> AsyncIterator[ModelProvider]:
    """The adapter, closed after the test."""
    opened = ModelProvider()
    yield opened
    await opened.close()


async def failure(provider: ModelProvider, model: str, fault: Fault) -> ProviderError:
    """Return what a fault becomes."""
    with FakeOpenAI(default=fault) as fake:
        credentials = Credentials(api_key="any", base_url=fake.url if model == ANTHROPIC else fake.base_url)
        with pytest.raises(ProviderError) as caught:
            await provider.ask(CompletionRequest(prompt="?", model=model, credentials=credentials))
    return caught.value


@pytest.mark.parametrize(
    ("model", "fault", "verdict"),
    [
        (OPENAI, Fault(status=429, error_code="rate_limit_exceeded"), "throttled"),
        (OPENAI, Fault(status=429, error_code="insufficient_quota"), "quota"),
        (OPENAI, Fault(status=429, error_code="project_spend_limit_exceeded"), "quota"),
        (OPENAI, Fault(status=429, body={"error": "INSUFFICIENT QUOTA", "message": "too many at once"}), "throttled"),
        (OPENAI, Fault(status=402, message="Insufficient credits"), "quota"),
        (OPENAI, Fault(status=409), "transient"),
        (OPENAI, Fault(status=400, error_code="context_length_exceeded"), "caller"),
        (ANTHROPIC, Fault(status=429, error_type="rate_limit_error"), "throttled"),
        (ANTHROPIC, Fault(status=529, error_type="overloaded_error"), "transient"),
        (ANTHROPIC, Fault(status=403, error_type="permission_error"), "caller"),
    ],
    ids=lambda value: f"{value.status}-{value.error_code or value.error_type}" if isinstance(value, Fault) else value,
)
async def test_codes_decide_and_not_texts(provider: ModelProvider, model: str, fault: Fault, verdict: str) -> None:
    """A wording that looks like a quota may be a rate limit, and a 429 a quota."""
    assert verdict == (await failure(provider, model, fault)).verdict


@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "2"}, 2.0),
        ({"x-ratelimit-reset-requests": "1m3.2s"}, 63.2),
        ({"retry-after": "0"}, None),
        ({}, None),
    ],
    ids=str,
)
async def test_the_wait_is_read_from_the_headers(
    provider: ModelProvider, model: str, headers: dict[str, str], seconds: float | None
) -> None:
    """As they come through the SDKs."""
    error = await failure(provider, model, Fault(status=429, error_type="rate_limit_error", headers=headers))
    assert seconds == (error.retry_after and pytest.approx(error.retry_after))


def breaker_hears(row: dict[str, Any]) -> set[str]:
    """Return the verdicts that a row of the data allows."""
    if row.get("breaker") == "ignored":
        return {"caller"}
    if row.get("breaker") == "failure":
        return {"transient", "timeout"}
    return {"throttled"} if row["retry"] else {"quota"}


async def test_the_rows_of_the_data(provider: ModelProvider) -> None:
    """All of them, where the data is at hand."""
    if not VECTORS.exists():
        pytest.skip(f"{VECTORS} is absent")
    rows = json.loads(VECTORS.read_text(encoding="utf-8"))["classification_429_529"]
    assert len(rows) > 20
    for row in rows:
        said: dict[str, Any] = {"type": row.get("type"), "message": row.get("message_like", "no")}
        if "details.error_code" in row:
            said["details"] = {"error_code": row["details.error_code"]}
        body: dict[str, Any] = {"error": said}
        if "error" in row:
            body = {"error": row["error"], "message": row["message_like"]}
        given = body if said["type"] or "error" in row else None
        fault = Fault(status=row["status"], error_code=row.get("code"), message=said["message"], body=given)
        error = await failure(provider, ANTHROPIC if row.get("provider") == "anthropic" else OPENAI, fault)
        assert row["retry"] == error.retryable, row
        assert error.verdict in breaker_hears(row), row
