"""Every error of the engine, on one screen.

    CognitionError                    .retryable says whether the same call may succeed later
    ├── ConfigurationError            the sentence says what to write instead
    ├── CacheError                    never reaches a caller of `complete`
    │   ├── CacheUnavailable          store
    │   └── EntryCorrupted
    ├── ProviderError                 provider, model, status
    │   ├── ProviderTimeout           seconds
    │   ├── ProviderUnavailable
    │   ├── RateLimited               retry_after
    │   ├── QuotaExhausted
    │   ├── RequestRejected
    │   └── OutputInvalid
    ├── CallNotPermitted              no attempt was made
    │   ├── CircuitOpen               breaker, state, retry_after
    │   └── OnlyCachedMiss
    └── LedgerConflict                another row stands under the same call key

Data is in attributes, the sentence is made from them, and every class survives `pickle` and `to_dict`/`from_dict`,
because Prefect moves exceptions between processes and single flight hands a leader's error to waiters in other ones.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self


class CognitionError(Exception):
    """Base of every error raised by the engine.

    Attributes:
        retryable: Whether the same call may succeed when it is made again.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, **data: Any) -> None:
        """Keep the sentence and the data it was made from.

        Args:
            message: One sentence that says what happened and what to do.
            **data: JSON-compatible values; each becomes an attribute.
        """
        super().__init__(message)
        self.message = message
        self.data = data
        self.__dict__.update(data)

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from message and data; the default would call subclasses with the wrong arguments."""
        return _rebuild, (type(self), self.message, self.data, self.notes)

    @property
    def notes(self) -> list[str]:
        """What was added by `add_note`."""
        return getattr(self, "__notes__", [])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-compatible description, for single flight across processes."""
        return {"type": type(self).__name__, "message": self.message, "data": self.data, "notes": self.notes}

    @staticmethod
    def from_dict(value: dict[str, Any]) -> CognitionError:
        """Return the error that `to_dict` described; an unknown type becomes a plain `CognitionError`."""
        return _rebuild(_by_name(str(value["type"])), str(value["message"]), dict(value["data"]), list(value["notes"]))


class ConfigurationError(CognitionError):
    """A setting is missing or wrong; the sentence says what to write instead."""


class CacheError(CognitionError):
    """A cache store failed; callers of `complete` never see it, they get an answer from a slower layer."""

    retryable = True


class CacheUnavailable(CacheError):
    """A store did not answer.

    Attributes:
        store: Name of the store, `redis` or `postgres`.
    """

    store: str

    @classmethod
    def of(cls, store: str, reason: str) -> Self:
        """Return the error for a store that failed for a reason."""
        return cls(f"The {store} store did not answer ({reason}); check its server and its URL.", store=store)


class EntryCorrupted(CacheError):
    """A stored value is not an entry of ours."""


class ProviderError(CognitionError):
    """The provider did not give a usable answer.

    Attributes:
        provider: Name of the provider, such as `openai`.
        model: Name of the model as asked, such as `openai-chat:gpt-5-mini`.
        status: HTTP status, where there was one.
    """

    provider: str
    model: str
    status: int | None


class ProviderTimeout(ProviderError):
    """No answer came in time."""

    retryable = True


class ProviderUnavailable(ProviderError):
    """The provider could not be reached, is overloaded, or failed."""

    retryable = True


class RateLimited(ProviderError):
    """The provider asked for fewer calls.

    Attributes:
        retry_after: Seconds that the provider asked to wait, or None.
    """

    retryable = True
    retry_after: float | None


class QuotaExhausted(ProviderError):
    """The account has no credit or quota left; waiting does not help."""


class RequestRejected(ProviderError):
    """The provider refused the request: wrong key, unknown model, too long, filtered."""


class OutputInvalid(ProviderError):
    """The answer does not fit the output type that was asked for."""

    retryable = True


class CallNotPermitted(CognitionError):
    """The engine made no attempt."""


class CircuitOpen(CallNotPermitted):
    """A circuit breaker keeps calls from a provider that fails, or that asked to be left alone.

    Attributes:
        breaker: Which one, as `cognition breaker list` prints it.
        state: Its state, or `cooling_down` when the provider asked for a pause.
        retry_after: Seconds after which a call may be admitted, or None when nobody can tell.
    """

    breaker: str
    state: str
    retry_after: float | None

    @classmethod
    def of(cls, breaker: str, state: str, retry_after: float | None) -> Self:
        """Return the error for a call that was refused."""
        words = state.replace("_", " ")
        if state == "forced_open":
            what = f"was opened by a person; ask who did, or run 'cognition breaker reset {breaker}'"
        elif retry_after is not None:
            what = f"is {words}; try again in {math.ceil(retry_after)} seconds or name a fallback model"
        else:
            what = f"is {words} and its probes are running; try again later or name a fallback model"
        return cls(f"The circuit breaker {breaker} {what}.", breaker=breaker, state=state, retry_after=retry_after)


class OnlyCachedMiss(CallNotPermitted):
    """The call allowed only cached answers (`cache="only"`) and there was none."""


class LedgerConflict(CognitionError):
    """Another row with other contents already stands in the ledger under the same call key and attempt."""


def _rebuild(error_type: type[CognitionError], message: str, data: dict[str, Any], notes: list[str]) -> CognitionError:
    error = error_type(message, **data)
    for note in notes:
        error.add_note(note)
    return error


def _by_name(name: str, root: type[CognitionError] = CognitionError) -> type[CognitionError]:
    if root.__name__ == name:
        return root
    found = (_by_name(name, child) for child in root.__subclasses__())
    return next((child for child in found if child.__name__ == name), CognitionError)
