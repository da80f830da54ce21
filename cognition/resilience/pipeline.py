"""The order in which a call is protected, from the outside inwards.

    fallback[ retry[ turn[ breaker.admit -> bulkhead -> attempt(RESERVE -> timeout(provider)) -> record ] ] ]

Each attempt is admitted and seen by the breaker; a back-off, or a wait for money, holds neither permit nor place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from cognition.domain.routing import Target
from cognition.resilience.bulkhead import Bulkheads, Quota
from cognition.resilience.fallback import fall_back
from cognition.resilience.policy import Rules
from cognition.resilience.recording import Breakers, recorded
from cognition.resilience.retry import Retry, Witness
from cognition.resilience.retry_budget import RetryBudgets
from cognition.resilience.timing import Deadline, Timing
from cognition.resilience.turns import in_turn

T = TypeVar("T")
Attempt = Callable[[Target, float], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Protects calls; lives on the owner loop."""

    breakers: Breakers
    bulkheads: Bulkheads
    budgets: RetryBudgets
    timing: Timing

    async def run(self, chain: Sequence[Target], attempt: Attempt[T], rules: Rules, witness: Witness) -> T:
        """Return the first answer; `attempt` is told whom to ask and how many seconds it may take."""
        policy = rules.policy
        deadline = rules.deadline or Deadline(policy.deadline, self.timing.monotonic)

        async def retried(target: Target, others: int) -> T:
            budget = self.budgets.of(target.provider)
            refusal = partial(self.breakers.refusal, target.breaker)
            retry = Retry(target.model, policy, self.timing, budget, deadline, others, witness, refusal)
            enter = partial(protected, target)
            return await retry.run(lambda: in_turn(enter, witness.may_enter, deadline, self.timing))

        async def protected(target: Target) -> T:
            async with (
                self.breakers.passage(target.breaker, policy.breaker) as passage,
                self.bulkheads.of(target.service).place(Quota(policy.max_concurrent, policy.max_waiting)),
                rules.gate(),
                recorded(self.breakers, passage, target, policy, deadline),
            ):
                await passage.begin()
                return await attempt(target, deadline.seconds_for(policy.attempt_timeout))

        return await fall_back(chain, retried, deadline, witness)
