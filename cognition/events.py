"""What happened, as frozen facts; metrics, logs, spans and run summaries are observers of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cognition.domain.breaker import BreakerKey
from cognition.domain.breaker_standing import Transition
from cognition.domain.completion import Call, Calls, Completion
from cognition.domain.entry import Address, CacheEntry, Layer
from cognition.domain.reservation import Crossing
from cognition.domain.semantic import Label, Pair

_log = logging.getLogger("cognition")


@dataclass(frozen=True, slots=True)
class LookedUp:
    """One layer was asked, once or for a batch.

    Attributes:
        tenant: Whose entries.
        namespace: In which namespace.
        model: For which model.
        layer: In which layer.
        hits: How many look-ups it answered.
        misses: How many it could not answer, corrupt values included.
        corrupt: How many unreadable values it met.
        refusals: In L3, how many near questions were refused, counted among the misses.
    """

    tenant: str
    namespace: str
    model: str
    layer: Layer
    hits: int = 0
    misses: int = 0
    corrupt: int = 0
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer was written to a layer."""

    address: Address
    model: str
    layer: Layer


@dataclass(frozen=True, slots=True)
class NotStored:
    """An answer was not kept, and why."""

    address: Address
    reason: str


@dataclass(frozen=True, slots=True)
class Invalidated:
    """A caller declared entries wrong; how many each layer dropped."""

    tenant: str
    namespace: str | None
    dropped: tuple[tuple[Layer, int], ...]


@dataclass(frozen=True, slots=True)
class BadHitReported:
    """Somebody declared the answer of one call wrong.

    Attributes:
        tenant: Whose call.
        namespace: In which namespace it was.
        request_id: Which call.
        layer: Which layer had answered it.
        similar: Whether it had got the answer to a similar question.
        dropped: How many entries each layer dropped.
    """

    tenant: str
    namespace: str
    request_id: str
    layer: Layer
    similar: bool
    dropped: tuple[tuple[Layer, int], ...]


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """A store failed and is left alone until it answers again."""

    store: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoreRecovered:
    """A store that had failed answers again."""

    store: str


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """An attempt failed and another one follows after a wait."""

    call: Call
    attempt: int
    wait_seconds: float
    error: str


@dataclass(frozen=True, slots=True)
class RetryDenied:
    """An attempt failed, another one was allowed by the policy, and was not made.

    Attributes:
        call: The call.
        attempt: Number of the failed attempt.
        reason: Class name of what stood against it: `RetryBudgetExhausted` or `RetryLater`.
    """

    call: Call
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class WaitingForBudget:
    """A call waits for money that others have set aside in a budget and may give back."""

    call: Call
    budget: str


@dataclass(frozen=True, slots=True)
class Downgraded:
    """A budget near its limit let a call pass with a cheaper model."""

    call: Call
    model: str
    cheaper: str


@dataclass(frozen=True, slots=True)
class FellBack:
    """A model did not answer and the next one of the chain is asked.

    Attributes:
        call: The call.
        model: The model that did not answer.
        fallback: The model that is asked now.
        error: Class name of what the first one ended with.
    """

    call: Call
    model: str
    fallback: str
    error: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A caller got an answer."""

    call: Call
    address: Address
    completion: Completion[Any]


@dataclass(frozen=True, slots=True)
class AnsweredMany:
    """Callers of one batch got answers from the cache.

    Attributes:
        calls: The batch.
        answers: Of each call that was answered its position in the batch, its address and its answer.
    """

    calls: Calls
    answers: Sequence[tuple[int, Address, Completion[Any]]]

    def __iter__(self) -> Iterator[Answered]:
        """Return each as an event of its own."""
        return (Answered(self.calls[position], address, answer) for position, address, answer in self.answers)


@dataclass(frozen=True, slots=True)
class Failed:
    """A caller got an error."""

    call: Call
    error: str


@dataclass(frozen=True, slots=True)
class PairMet:
    """A question met a neighbour that answered it, or whose answer is to be compared with the provider's."""

    pair: Pair


@dataclass(frozen=True, slots=True)
class CheckDue:
    """A pair was drawn to be compared with the provider's own answer.

    Attributes:
        call: Who asked.
        pair: The two questions.
        neighbour: The neighbour's answer.
        fresh: The provider's own answer, or None when the neighbour's was given and the provider was not asked.
        judge: Model that compares free texts, or None.
    """

    call: Call
    pair: Pair
    neighbour: CacheEntry
    fresh: CacheEntry | None
    judge: str | None


@dataclass(frozen=True, slots=True)
class PairJudged:
    """Somebody said whether the answer to one question would do for another."""

    pair: Pair
    label: Label


@dataclass(frozen=True, slots=True)
class LedgerDelayed:
    """Ledger rows could not be written yet and wait."""

    rows: int
    reason: str


@dataclass(frozen=True, slots=True)
class LedgerDropped:
    """So many ledger rows of hits waited in memory that the oldest were given up; those of attempts never are."""

    rows: int


@dataclass(frozen=True, slots=True)
class LedgerSpooled:
    """Ledger rows were kept in a file of this machine until they can be written."""

    rows: int


@dataclass(frozen=True, slots=True)
class LedgerSpoolFull:
    """That file takes no more rows; told once, until it takes some again."""

    reason: str


@dataclass(frozen=True, slots=True)
class LedgerReplayed:
    """Ledger rows that had been kept in a file, by whichever process, stand in the ledger."""

    rows: int


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """A circuit breaker changed its state; told once, by the process that caused it.

    Attributes:
        transition: From what to what, and why.
        shared: Whether it did so for all processes; otherwise the store of the shared ones does not answer.
    """

    transition: Transition
    shared: bool = True


@dataclass(frozen=True, slots=True)
class WorkerHeldBack:
    """This worker alone sees failures, so that it alone pauses and probes; or has changed its state since.

    Attributes:
        transition: From what to what, and why; for this worker only.
        worker: Which worker.
    """

    transition: Transition
    worker: str


@dataclass(frozen=True, slots=True)
class BreakerThresholdReached:
    """A breaker that only counts (METRICS_ONLY) would have opened now."""

    breaker: BreakerKey
    consecutive_failures: int


@dataclass(frozen=True, slots=True)
class CoolingDown:
    """A provider asked for no calls for a while, by a rate limit or a spent quota."""

    breaker: BreakerKey
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class BudgetCrossed:
    """A budget reached a threshold for the first time in its period; told once, by the process that caused it.

    Attributes:
        tenant: Whose budget.
        crossing: Which budget, and which share of its limit.
    """

    tenant: str
    crossing: Crossing


@dataclass(frozen=True, slots=True)
class BreakerStoreLost:
    """The store of the shared breakers does not answer; breakers of this process go on alone."""

    store: str


@dataclass(frozen=True, slots=True)
class BreakerStoreAdopted:
    """The store of the shared breakers answers again, and what it says counts again."""

    store: str


Event = (
    LookedUp
    | Stored
    | NotStored
    | Invalidated
    | BadHitReported
    | StoreFailed
    | StoreRecovered
    | RetryScheduled
    | RetryDenied
    | FellBack
    | Downgraded
    | WaitingForBudget
    | Answered
    | AnsweredMany
    | Failed
    | PairMet
    | CheckDue
    | PairJudged
    | LedgerDelayed
    | LedgerDropped
    | LedgerSpooled
    | LedgerSpoolFull
    | LedgerReplayed
    | BreakerChanged
    | WorkerHeldBack
    | BreakerThresholdReached
    | CoolingDown
    | BudgetCrossed
    | BreakerStoreLost
    | BreakerStoreAdopted
)
Observer = Callable[[Event], None]
Emit = Callable[[Event], None]


class Observers:
    """Passes each event to every observer; a failing observer never fails the call it observes."""

    def __init__(self, *observers: Observer) -> None:
        """Start with some observers."""
        self._observers = observers

    def add(self, observer: Observer) -> None:
        """Let one more observer see all later events, once each however often it is added."""
        if observer not in self._observers:
            self._observers = (*self._observers, observer)

    def remove(self, observer: Observer) -> None:
        """Let an observer see no later events."""
        self._observers = tuple(one for one in self._observers if one is not observer)

    def emit(self, event: Event) -> None:
        """Pass an event on."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:  # noqa: BLE001  whatever an observer does wrong, the call goes on
                _log.exception("An observer failed on %s.", type(event).__name__)
