"""What goes wrong at a provider, in the engine's own errors; decided by structured codes, never by message texts.

The provider's own words stay in `__cause__`, because they may quote the prompt, and without the key, because Dask
pickles causes and Prefect logs them.
"""

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self, cast

from pydantic_ai.exceptions import (
    AgentRunError,
    ContentFilterError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelRequestTimeout,
    ModelServerError,
    ModelTimeoutError,
    ModelUnavailableError,
)

from cognition.adapters.providers.retry_after import retry_after
from cognition.errors import (
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    Rejection,
    RequestRejected,
)

_TRANSIENT = frozenset({408, 409, 425, *range(500, 600)})  # 409: a lock held at the provider, 529: overloaded
_REFUSED = range(400, 500)
# Codes of an account that is used up which pydantic-ai does not know: it looks at the outer type of Anthropic's errors.
_QUOTA_CODES = frozenset({"enforced_spend_limit_reached"})
# The one text that decides: Anthropic reports a limit that the customer set as a plain 400, with no code of its own.
_USAGE_LIMIT, _USAGE_LIMIT_TEXT = "specified_usage_limit", "specified api usage limits"
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation", "moderation_blocked"})
_CODE = re.compile(r"[\w.:-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Rule:
    """When `error` is one of the types or its status one of the statuses, it means this.

    Attributes:
        meaning: The engine's error.
        sentence: What happened to `{model}` at `{place}` with `{code}`, and what to do.
        types: pydantic-ai's categories, which it derives from the codes of each provider.
        statuses: HTTP statuses.
        codes: Machine-readable codes.
        reason: What the provider did not like, when it refused the request.
    """

    meaning: type[ProviderError]
    sentence: str
    types: tuple[type[Exception], ...] = ()
    statuses: Container[int] = field(default=frozenset[int]())
    codes: frozenset[str] = frozenset()
    reason: Rejection = "request"

    def fits(self, error: Exception, status: int | None, codes: frozenset[str]) -> bool:
        """Whether it says what an error means."""
        return isinstance(error, self.types) or (status or 0) in self.statuses or not codes.isdisjoint(self.codes)


_RULES = (  # the first that fits
    _Rule(
        QuotaExhausted,
        "The account for {model} has no credit or quota left{code}; top it up or use another model.",
        (ModelQuotaExceededError,),
        {402},
        _QUOTA_CODES | {_USAGE_LIMIT},
    ),
    _Rule(
        RateLimited,
        "The provider of {model} asked for fewer calls{code}; wait, or lower max_concurrent.",
        (ModelRateLimitError,),
        {429},
    ),
    _Rule(
        ProviderTimeout,
        "{model} gave no answer in time; try later or raise the timeout.",
        (ModelTimeoutError, ModelRequestTimeout),
    ),
    _Rule(
        ProviderUnavailable,
        "{model} could not be reached at {place}, or broke off; check the address and the network, or try later.",
        (ModelConnectionError,),
    ),
    _Rule(
        ProviderUnavailable,
        "The provider of {model} failed{code}; try later or use another model.",
        (ModelUnavailableError, ModelServerError),
        _TRANSIENT,
    ),
    _Rule(
        RequestRejected,
        "The prompt is too long for {model}{code}; shorten it or use a model with a larger context.",
        (ModelContextWindowExceededError,),
        {413},
        reason="context_length",
    ),
    _Rule(
        RequestRejected,
        "The provider of {model} refused the key{code}; check the key and what it may use.",
        (ModelAuthenticationError,),
        {401, 403},
        reason="key",
    ),
    _Rule(
        RequestRejected,
        "There is no model {model} at {place}{code}; check its name.",
        (ModelNotFoundError,),
        {404},
        reason="model",
    ),
    _Rule(
        RequestRejected,
        "The content filter of {model} refused the prompt or the answer; change the prompt.",
        (ContentFilterError,),
        codes=_FILTER_CODES,
        reason="content_filter",
    ),
    _Rule(
        RequestRejected,
        "The provider of {model} refused the request{code}; its own words are in this error's __cause__.",
        (ModelRequestRejectedError,),
        _REFUSED,
    ),
    _Rule(
        ProviderUnavailable,
        "{model} answered with something that is no answer; check that {place} speaks its API, or try later.",
        (Exception,),
    ),
)

_BEFORE_SENDING = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "InvalidURL", "ProxyError"}

FAILURES = (AgentRunError, AttributeError, LookupError, TypeError)
"""What asking a model raises when it fails; the built-in ones when pydantic-ai reads an answer of a wrong shape."""


class ProviderWords(Exception):
    """What the provider or its client said, without the key."""

    @classmethod
    def of(cls, error: Exception, keys: Iterable[str | None]) -> Self:
        """Return the words of an error.

        Args:
            error: What was raised.
            keys: Secrets that a provider may repeat.
        """
        words = f"{type(error).__name__}: {error}"
        for key in filter(None, keys):
            words = words.replace(key, "***")
        return cls(words)


def translate(error: Exception, model: str, place: str, now: datetime | None = None) -> ProviderError:
    """Return the engine's error for one of `FAILURES`.

    Args:
        error: What was raised.
        model: The model as asked, `provider:model`.
        place: Host of the provider, for the sentence.
        now: The present time, for dates in headers; by default the system's.
    """
    status = error.status_code if isinstance(error, ModelHTTPError) else None
    codes = _codes_of(error)
    rule = next(rule for rule in _RULES if rule.fits(error, status, codes))
    wait = _wait_of(error, now or datetime.now(UTC), throttled=rule.meaning is RateLimited)
    data: dict[str, object] = {
        "provider": model.partition(":")[0],
        "model": model,
        "status": status,
        "retry_after": wait,
        "unsent": status is None and _is_unsent(error),
    }
    if rule.meaning is RequestRejected:
        data["reason"] = rule.reason
    return rule.meaning(rule.sentence.format(model=model, place=place, code=_code_of(error, status)), **data)


def _is_unsent(error: BaseException | None) -> bool:
    """Whether a connection failed before the request could be sent; its classes are known by name, see `httpx`."""
    while error is not None:
        if type(error).__name__ in _BEFORE_SENDING:
            return True
        error = error.__cause__ or error.__context__
    return False


def _wait_of(error: Exception, now: datetime, *, throttled: bool) -> float | None:
    """Return how many seconds the provider asked to wait; what pydantic-ai found comes last, because it takes zeros."""
    headers = error.headers if isinstance(error, ModelHTTPError) else None
    found = error.retry_after if isinstance(error, ModelAPIError) else None
    return retry_after(headers or {}, now, throttled=throttled) or found or None


def _codes_of(error: Exception) -> frozenset[str]:
    """Return the machine-readable codes of an error, those of Anthropic's details among them."""
    if not isinstance(error, ModelAPIError):
        return frozenset()
    inner = _mapping(_mapping(error.body).get("error"))
    details = _mapping(inner.get("details")) or _mapping(_mapping(error.body).get("details"))
    found = (error.provider_error_code, error.provider_error_type, details.get("error_code"))
    codes = {code for code in found if isinstance(code, str)}
    if "invalid_request_error" in codes and _USAGE_LIMIT_TEXT in str(inner.get("message")).lower():
        codes.add(_USAGE_LIMIT)
    return frozenset(codes)


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _code_of(error: Exception, status: int | None) -> str:
    """Return status and machine-readable code in brackets; empty when there is neither."""
    code = error.provider_error_code or error.provider_error_type if isinstance(error, ModelAPIError) else None
    known = [f"status {status}"] if status else []
    if code and _CODE.fullmatch(code):
        known.append(code)
    return f" ({', '.join(known)})" if known else ""
