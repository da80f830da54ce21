"""What goes wrong at a provider, in the engine's own errors; decided by structured codes, never by message texts.

The provider's own words stay in `__cause__`, because they may quote the prompt, and without the key, because Dask
pickles causes and Prefect logs them.
"""

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Self

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

from cognition.errors import (
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)

_TRANSIENT = frozenset({408, 409, 425, *range(500, 600)})  # 409: a lock held at the provider, 529: overloaded
_REFUSED = range(400, 500)
_CODE = re.compile(r"[\w.:-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Rule:
    """When `error` is one of the types or its status one of the statuses, it means this.

    Attributes:
        meaning: The engine's error.
        sentence: What happened to `{model}` at `{place}` with `{code}`, and what to do.
        types: pydantic-ai's categories, which it derives from the codes of each provider.
        statuses: HTTP statuses.
    """

    meaning: type[ProviderError]
    sentence: str
    types: tuple[type[Exception], ...] = ()
    statuses: Container[int] = field(default=frozenset[int]())


_RULES = (  # the first that fits
    _Rule(
        QuotaExhausted,
        "The account for {model} has no credit or quota left{code}; top it up or use another model.",
        (ModelQuotaExceededError,),
        {402},
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
    ),
    _Rule(
        RequestRejected,
        "The provider of {model} refused the key{code}; check the key and what it may use.",
        (ModelAuthenticationError,),
        {401, 403},
    ),
    _Rule(
        RequestRejected,
        "There is no model {model} at {place}{code}; check its name.",
        (ModelNotFoundError,),
        {404},
    ),
    _Rule(
        RequestRejected,
        "The content filter of {model} refused the prompt or the answer; change the prompt.",
        (ContentFilterError,),
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


def translate(error: Exception, model: str, place: str) -> ProviderError:
    """Return the engine's error for one of `FAILURES`.

    Args:
        error: What was raised.
        model: The model as asked, `provider:model`.
        place: Host of the provider, for the sentence.
    """
    status = error.status_code if isinstance(error, ModelHTTPError) else None
    rule = next(rule for rule in _RULES if isinstance(error, rule.types) or (status or 0) in rule.statuses)
    data: dict[str, object] = {"provider": model.partition(":")[0], "model": model, "status": status}
    if rule.meaning is RateLimited:
        data["retry_after"] = error.retry_after if isinstance(error, ModelAPIError) else None
    return rule.meaning(rule.sentence.format(model=model, place=place, code=_code_of(error, status)), **data)


def _code_of(error: Exception, status: int | None) -> str:
    """Return status and machine-readable code in brackets; empty when there is neither."""
    code = error.provider_error_code or error.provider_error_type if isinstance(error, ModelAPIError) else None
    known = [f"status {status}"] if status else []
    if code and _CODE.fullmatch(code):
        known.append(code)
    return f" ({', '.join(known)})" if known else ""
