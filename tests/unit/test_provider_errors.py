"""Every way a provider fails has one meaning."""

import pickle

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
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
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
