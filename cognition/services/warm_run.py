"""One run of warming: some calls side by side, until the list, the money or the patience ends."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from cognition.domain.cache_policy import CachePolicy
from cognition.domain.completion import Completion, Prompt
from cognition.domain.entry import Address, CacheEntry, Layer
from cognition.domain.warming import Warmed, WarmPlan
from cognition.errors import (
    BudgetExceeded,
    BudgetUnavailable,
    CallNotPermitted,
    CognitionError,
    ConfigurationError,
    PriceUnknown,
    QuotaExhausted,
    RetryLater,
)

Complete = Callable[..., Completion[Any]]

NOT_REACHED: Final = "not reached any more"

# The next call would only be told the same.
_END: Final = (
    BudgetExceeded,
    BudgetUnavailable,
    CallNotPermitted,
    ConfigurationError,
    PriceUnknown,
    QuotaExhausted,
    RetryLater,
)


@dataclass(frozen=True, slots=True)
class Kept:
    """One request, and what is known of its answer.

    Attributes:
        address: Where its answer lives.
        prompt: What is asked.
        options: With which options.
        cost_usd: What it cost before, None when that is unknown.
        expiring: Whether an answer is cached that will soon expire.
    """

    address: Address
    prompt: Prompt
    options: Mapping[str, Any]
    cost_usd: Decimal | None = None
    expiring: bool = False

    def holding(self, entry: CacheEntry | None) -> Kept:
        """Return the same with what is cached."""
        if entry is None:
            return self
        return replace(self, expiring=True, cost_usd=entry.cost_usd or self.cost_usd)

    @property
    def call(self) -> Mapping[str, Any]:
        """All options: what is cached is asked for anew, what is not may still be found by a similar question."""
        mode = "refresh" if self.expiring else "use"
        cache = self.options.get("cache")
        return {**self.options, "cache": replace(cache, mode=mode) if isinstance(cache, CachePolicy) else mode}


class WarmRun:
    """Asks for what is due."""

    def __init__(self, complete: Complete, plan: WarmPlan) -> None:
        """Have asked nothing yet.

        Args:
            complete: Answers one prompt.
            plan: How far to go.
        """
        self._complete = complete
        self._plan = plan
        self._lock = threading.Lock()
        self._spent = Decimal(0)
        self._dearest: Decimal | None = None
        self._failed: Counter[str] = Counter()
        self._in_a_row = 0
        self._stopped: str | None = None
        self._left = 0
        self._shared = 0
        self.answered: list[Kept] = []

    def work(self, due: Sequence[Kept]) -> None:
        """Ask for everything that is due, as far as the plan goes; returns when no call is under way any more."""
        waiting = iter(due)
        running: dict[Future[None], Decimal] = {}
        with ThreadPoolExecutor(self._plan.concurrency, "cognition-warm") as threads:
            for one in waiting:
                while running and not self._may_begin(running, self._price_of(one)):
                    self._collect(running)
                if self._stopped is None and not self._affordable(running, self._price_of(one)):
                    self._stopped = f"the next call might exceed the limit of ${self._plan.max_cost_usd:f}"
                if self._stopped is not None:
                    self._left = 1 + sum(1 for _ in waiting)
                    break
                running[threads.submit(self._ask, one)] = self._price_of(one) or Decimal(0)
            while running:
                self._collect(running)

    def result(self, wishes: int, skipped: Counter[str], unkept: int) -> Warmed:
        """Return what came of it.

        Args:
            wishes: How many prompts there were.
            skipped: How many were left before, by the reason.
            unkept: How many answers may not be cached.
        """
        skipped[NOT_REACHED] += self._left
        return Warmed(
            wishes=wishes,
            asked=len(self.answered) - self._shared,
            refreshed=sum(one.expiring for one in self.answered),
            shared=self._shared,
            unkept=unkept,
            cost_usd=self._spent,
            skipped={reason: count for reason, count in skipped.items() if count},
            failed=dict(self._failed),
            stopped=self._stopped,
        )

    def _price_of(self, one: Kept) -> Decimal | None:
        """Return what a call may cost: what it cost before, or the most that one of this run has cost."""
        return max((price for price in (one.cost_usd, self._dearest) if price is not None), default=None)

    def _may_begin(self, running: Mapping[Future[None], Decimal], price: Decimal | None) -> bool:
        """Whether a call may begin beside others; without any known price the first one goes alone."""
        if self._stopped is not None or len(running) >= self._plan.concurrency:
            return False
        if self._plan.max_cost_usd is None:
            return True
        return price is not None and self._affordable(running, price)

    def _affordable(self, running: Mapping[Future[None], Decimal], price: Decimal | None) -> bool:
        limit = self._plan.max_cost_usd
        if limit is None:
            return True
        taken = self._spent + sum(running.values(), Decimal(0))
        return taken < limit if price is None else taken + price <= limit

    def _collect(self, running: dict[Future[None], Decimal]) -> None:
        """Wait for one of the calls under way."""
        for ended in wait(running, return_when=FIRST_COMPLETED).done:
            del running[ended]
            ended.result()

    def _ask(self, one: Kept) -> None:
        try:
            done = self._complete(one.prompt, **one.call)
        except CognitionError as error:
            self._note_failure(error)
            return
        with self._lock:
            self._in_a_row = 0
            self.answered.append(one)
            if done.layer is not Layer.PROVIDER:
                self._shared += 1
            elif done.cost_usd is not None:
                self._spent += done.cost_usd
                self._dearest = max(self._dearest or Decimal(0), done.cost_usd)
            elif self._plan.max_cost_usd is not None:
                self._stopped = self._stopped or f"nobody knows what {done.model} costs, and there is a limit"

    def _note_failure(self, error: CognitionError) -> None:
        with self._lock:
            self._failed[type(error).__name__] += 1
            self._in_a_row += 1
            if isinstance(error, _END):
                self._stopped = self._stopped or _reason(error)
            elif self._in_a_row >= self._plan.max_failures:
                self._stopped = (
                    self._stopped or f"{self._in_a_row} calls in a row failed, the last with {_reason(error)}"
                )


def _reason(error: CognitionError) -> str:
    return f"{type(error).__name__}: {str(error).rstrip('.')}"
