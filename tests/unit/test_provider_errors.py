"""Every way a provider fails has one meaning."""

import pickle
from datetime import UTC, datetime

import pytest
from pydantic_ai.exceptions import (
    AgentRunError,
    ContentFilterError,
    ModelAPIError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelOverloadedError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelRequestTimeout,
    ModelTimeoutError,
    UnexpectedModelBehavior,
)

from cognition.adapters.providers.provider_errors import translate
from cognition.errors import (
    CallNotPermitted,
    CognitionError,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    RetryLater,
)

_MODEL = "openai-chat:gpt-5-mini"


def _http(status: int, category: type[ModelRateLimitError | ModelQuotaExceededError] | None = None) -> ModelHTTPError:
    return ModelHTTPError.for_category(category, status_code=status, model_name="gpt-5-mini")


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        *[(_http(status), ProviderUnavailable) for status in (408, 409, 425, 500, 502, 503, 504, 524, 529)],
        *[(_http(status), RequestRejected) for status in (400, 401, 403, 404, 405, 413, 415, 422)],
        (_http(402), QuotaExhausted),
        (_http(429), RateLimited),
        (_http(429, ModelQuotaExceededError), QuotaExhausted),
        (ModelOverloadedError("m", "overloaded", in_stream=True), ProviderUnavailable),
        (ModelConnectionError("m", "refused", phase="connect"), ProviderUnavailable),
        (ModelTimeoutError("m", "slow", phase="read"), ProviderTimeout),
        (ModelRequestTimeout("m", 3.0), ProviderTimeout),
        (ModelContextWindowExceededError("m", "too long"), RequestRejected),
        (ModelRequestRejectedError("m", "no"), RequestRejected),
        (ContentFilterError("filtered"), RequestRejected),
        (ModelAPIError("m", "not JSON"), ProviderUnavailable),
        (UnexpectedModelBehavior("no choices"), ProviderUnavailable),
    ],
    ids=repr,
)
def test_each_failure_has_its_class(error: AgentRunError, meaning: type[ProviderError]) -> None:
    """The table of classification, row by row."""
    assert meaning is type(translate(error, _MODEL, "api.example.com"))


@pytest.mark.parametrize(
    ("error", "reason", "elsewhere"),
    [
        (ModelContextWindowExceededError("m", "too long"), "context_length", True),
        (_http(413), "context_length", True),
        (_http(401), "key", False),
        (_http(404), "model", False),
        (ContentFilterError("filtered"), "content_filter", False),
        (ModelHTTPError(400, "m", provider_error_code="content_policy_violation"), "content_filter", False),
        (_http(422), "request", False),
    ],
    ids=repr,
)
def test_a_refusal_says_what_was_wrong(error: AgentRunError, reason: str, elsewhere: bool) -> None:  # noqa: FBT001  a column
    """Only a prompt that is too long may fit another model; everything else must be heard."""
    refused = translate(error, _MODEL, "api.example.com")
    assert isinstance(refused, RequestRejected)
    assert (reason, elsewhere) == (refused.reason, refused.elsewhere)


@pytest.mark.parametrize(
    ("kind", "verdict", "retryable"),
    [
        (ProviderUnavailable, "transient", True),
        (ProviderTimeout, "timeout", True),
        (RateLimited, "throttled", True),
        (QuotaExhausted, "quota", False),
        (RequestRejected, "caller", False),
        (CallNotPermitted, "ours", False),
        (RetryLater, "ours", False),
    ],
)
def test_each_class_has_its_verdict(kind: type[CognitionError], verdict: str, retryable: bool) -> None:  # noqa: FBT001  a column
    """What the breaker learns and whether it is asked again."""
    assert (verdict, retryable) == (kind.verdict, kind.retryable)


def test_a_spend_limit_in_anthropic_s_details_is_no_rate_limit() -> None:
    """The outer type says rate limit; the code in the details says that waiting does not help."""
    body = {"error": {"type": "rate_limit_error", "details": {"error_code": "enforced_spend_limit_reached"}}}
    error = ModelHTTPError.for_category(ModelRateLimitError, status_code=429, model_name="m", body=body)
    assert QuotaExhausted is type(translate(error, "anthropic:claude", "api.anthropic.com"))


def test_the_limit_a_customer_set_at_anthropic_is_a_quota() -> None:
    """It has no code; only from Anthropic's plain refusals is its sentence believed."""
    said = {"message": "You have reached your specified API usage limits. You will regain access on 2026-12-01."}
    refusal = ModelHTTPError(400, "m", {"error": said}, provider_error_type="invalid_request_error")
    other = ModelHTTPError(500, "m", {"error": said}, provider_error_type="api_error")
    assert QuotaExhausted is type(translate(refusal, "anthropic:claude", "api.anthropic.com"))
    assert ProviderUnavailable is type(translate(other, "anthropic:claude", "api.anthropic.com"))


def test_any_failure_may_say_when_to_come_back() -> None:
    """Not only a rate limit; the limits that stand in every answer count for a rate limit alone."""
    headers = {"Retry-After": "Sun, 22 Nov 2026 12:00:30 GMT", "x-ratelimit-reset-requests": "9s"}
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    waits = [
        translate(ModelHTTPError(status, "m", headers=shown), _MODEL, "h", now).retry_after
        for status, shown in ((503, headers), (503, {"x-ratelimit-reset-requests": "9s"}), (429, headers))
    ]
    throttled = translate(ModelHTTPError(429, "m", headers={"x-ratelimit-reset-requests": "9s"}), _MODEL, "h", now)

    assert [30.0, None, 30.0] == waits
    assert 9.0 == throttled.retry_after


def test_the_error_carries_its_data_through_pickle() -> None:
    """Prefect moves exceptions between processes; provider, model, status and wait stay with them."""
    error = ModelHTTPError.for_category(
        ModelRateLimitError, status_code=429, model_name="m", headers={"Retry-After": "7"}
    )

    moved = pickle.loads(pickle.dumps(translate(error, _MODEL, "api.example.com")))  # noqa: S301 - our own bytes

    assert isinstance(moved, RateLimited)
    assert ("openai-chat", _MODEL, 429, 7.0) == (moved.provider, moved.model, moved.status, moved.retry_after)


def test_the_sentence_names_codes_but_not_the_provider_s_words() -> None:
    """A provider's text may quote the prompt or a key; a code may not be abused to smuggle one in."""
    secret = "my secret prompt"  # noqa: S105 - what must not be shown
    named = ModelHTTPError(400, "m", {"message": secret}, provider_error_code="unsupported_parameter")
    abused = ModelHTTPError(400, "m", {"message": secret}, provider_error_code=secret)

    sentences = [str(translate(error, _MODEL, "api.example.com")) for error in (named, abused)]

    assert "(status 400, unsupported_parameter)" in sentences[0]
    assert not any(secret in sentence for sentence in sentences)
