"""Every error of the engine, on one screen.

    CognitionError                    .retryable says whether the same call may succeed later
    ├── ConfigurationError            the sentence says what to write instead
    ├── CacheError                    never reaches a caller of `complete`
    │   ├── CacheUnavailable          store
    │   └── EntryCorrupted
    ├── ProviderError                 provider, model, status, retry_after
    │   ├── ProviderTimeout
    │   ├── ProviderUnavailable
    │   ├── RateLimited
    │   ├── QuotaExhausted
    │   ├── RequestRejected           reason
    │   └── OutputInvalid
    ├── CallNotPermitted              no attempt was made
    │   ├── CircuitOpen               breaker, state, retry_after
    │   ├── BulkheadFull              service, max_concurrent, max_waiting
    │   ├── RetryBudgetExhausted      provider
    │   ├── OnlyCachedMiss
    │   └── LedgerFull                place, limit_bytes
    ├── BudgetExceeded                budget, limit, used, reserved, requested, resets_at
    ├── BudgetUnavailable             store
    ├── PriceUnknown                  provider, model
    ├── RetryLater                    at
    └── LedgerConflict                another row stands under the same call key

`verdict` says what an error tells about the provider, which decides what the breaker learns and how long is waited;
`elsewhere` whether another model may answer, `personal` whether another caller may be answered.

Data is in attributes, the sentence is made from them, and every class survives `pickle` and `to_dict`/`from_dict`,
because Prefect moves exceptions between processes and single flight hands a leader's error to waiters in other ones.
"""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal, Self

Verdict = Literal["transient", "timeout", "throttled", "quota", "caller", "ours"]
"""What an error says about the provider: it fails for a while (overload included), gave no answer in time, asked for
fewer calls, wants to be paid, got a call that it cannot answer; or nothing at all, because the error is ours."""

Rejection = Literal["request", "context_length", "key", "model", "content_filter"]
"""What a provider did not like about a request."""


class CognitionError(Exception):
    """Base of every error raised by the engine.

    Attributes:
        retryable: Whether the same call may succeed when it is made again.
        verdict: What the error says about the provider.
        personal: Whether it tells about who asks, so that others who ask the same may be answered.
    """

    retryable: ClassVar[bool] = False
    verdict: ClassVar[Verdict] = "ours"
    personal: bool = False
    _always_elsewhere: ClassVar[bool] = False  # whatever was wrong with one model need not be with another

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
    def elsewhere(self) -> bool:
        """Whether another model may answer where this one did not."""
        return self._always_elsewhere or self.verdict in {"transient", "timeout", "throttled", "quota"}

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
        retry_after: Seconds that the provider asked to wait, or None.
        unsent: Whether it is known that the request never reached the provider.
    """

    provider: str
    model: str
    status: int | None
    retry_after: float | None = None
    unsent: bool = False

    @property
    def is_free(self) -> bool:
        """Whether the provider cannot have charged for it: it was not reached, or refused before it began.

        A gateway that gave up (502, 504) says nothing about the server behind it, which may go on and send a bill.
        """
        return self.unsent or (self.status is not None and self.status not in {502, 504, 524})


class ProviderTimeout(ProviderError):
    """No answer came in time."""

    retryable = True
    verdict = "timeout"


class ProviderUnavailable(ProviderError):
    """The provider could not be reached, is overloaded, failed, or broke off in the middle of an answer."""

    retryable = True
    verdict = "transient"


class RateLimited(ProviderError):
    """The provider asked for fewer calls."""

    retryable = True
    verdict = "throttled"


class QuotaExhausted(ProviderError):
    """The account has no credit or quota left; waiting does not help."""

    verdict = "quota"


class RequestRejected(ProviderError):
    """The provider refused the request.

    Attributes:
        reason: What it did not like: the `key`, the `model`, the `context_length`, the `content_filter` objected, or
            anything else about the `request`.
    """

    verdict = "caller"
    reason: Rejection = "request"

    @property
    def elsewhere(self) -> bool:
        """Whether another model may have room for the prompt; a wrong key or name must be heard, not hidden."""
        return self.reason == "context_length"


class OutputInvalid(ProviderError):
    """The answer does not fit the output type that was asked for."""

    retryable = True
    verdict = "caller"

    _always_elsewhere = True


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

    _always_elsewhere = True

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


class BulkheadFull(CallNotPermitted):
    """As many calls as may are at a service and as many as may wait for it.

    Attributes:
        service: Name of the service.
        max_concurrent: How many calls may be at it.
        max_waiting: How many may wait.
    """

    service: str
    max_concurrent: int
    max_waiting: int

    _always_elsewhere = True

    @classmethod
    def of(cls, service: str, max_concurrent: int, max_waiting: int) -> Self:
        """Return the error for a service."""
        message = (
            f"{max_concurrent} calls are at {service} and {max_waiting} wait for it; make fewer at a time, or raise"
            " max_concurrent or max_waiting."
        )
        return cls(message, service=service, max_concurrent=max_concurrent, max_waiting=max_waiting)


class RetryBudgetExhausted(CallNotPermitted):
    """So many retries at a provider failed that this process makes no more until calls succeed again.

    Attributes:
        provider: Name of the provider.
    """

    provider: str

    @classmethod
    def of(cls, provider: str) -> Self:
        """Return the error for a provider."""
        message = f"The retry budget of {provider} is spent, because most retries there failed; first attempts go on."
        return cls(message, provider=provider)


class OnlyCachedMiss(CallNotPermitted):
    """The call allowed only cached answers (`cache="only"`) and there was none."""


class LedgerFull(CallNotPermitted):
    """So many ledger rows wait for PostgreSQL in a `place`, of at most `limit_bytes`, that no other could be kept."""

    retryable = True
    place: str
    limit_bytes: int

    @classmethod
    def of(cls, place: str, limit_bytes: int) -> Self:
        """Return the error for a spool."""
        what = f"The ledger rows that wait for PostgreSQL in {place} take the {limit_bytes / 1e6:g} MB that they may"
        message = f"{what}; bring it back, or raise COGNITION_SPOOL_LIMIT_MB."
        return cls(message, place=place, limit_bytes=limit_bytes)


class _Usd:
    """An amount of an error; it travels as text, because JSON knows no decimals."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, error: CognitionError, owner: type) -> Decimal:
        return Decimal(error.data[self._name])

    def __set__(self, error: CognitionError, value: object) -> None:
        raise AttributeError("The amounts of an error do not change.")


class BudgetExceeded(CognitionError):
    """A budget has no room for what the attempt may cost, which was not made; attempts before it may have been.

    Attributes:
        budget: Which one, such as `daily budget of workflow nightly`.
        limit: US dollars that may be spent in the period, adjustments included.
        used: US dollars that were spent.
        reserved: US dollars that are set aside for calls under way.
        requested: US dollars that this attempt may cost.
        resets_at: When money is next freed, with a time zone; None for never.
        waits_outside: Whether a wait for money is better made by whoever began the call.
    """

    personal = True
    waits_outside = False
    budget: str
    limit = _Usd()
    used = _Usd()
    reserved = _Usd()
    requested = _Usd()

    @property
    def is_full_for_now(self) -> bool:
        """Whether there would be room if nothing were set aside, in all budgets; calls mostly cost less than that."""
        return self.used + self.requested <= self.limit

    @property
    def resets_at(self) -> datetime | None:
        """When money is next freed."""
        return None if self.data["resets_at"] is None else datetime.fromisoformat(self.data["resets_at"])


class BudgetUnavailable(CognitionError):
    """The `store` of the budgets does not answer, and a budget asks to spend nothing then."""

    retryable = True
    personal = True
    store: str


class PriceUnknown(CognitionError):
    """A budget limits the call, and nobody knows what the `model` of the `provider` costs."""

    personal = True
    provider: str
    model: str

    _always_elsewhere = True


class RetryLater(CognitionError):
    """The provider asked for a longer wait than this call may take; nothing is gained by asking before.

    Attributes:
        at: When to ask again, with a time zone.
    """

    @property
    def at(self) -> datetime:
        """When to ask again."""
        return datetime.fromisoformat(self.data["at"])

    _always_elsewhere = True

    @classmethod
    def of(cls, model: str, at: datetime) -> Self:
        """Return the error for a model that may be asked again at a time."""
        moment = at.isoformat(timespec="seconds")
        return cls(f"{model} may not be asked before {moment}; run again then.", at=at.isoformat())


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
