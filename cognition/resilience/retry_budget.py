"""Keeps retries from multiplying the traffic on a provider that is down.

The numbers are those of the AWS SDKs' standard retry mode (botocore, `retries/quota.py`, version 2.1): a bucket of 500
tokens from which each retry takes 14, or 5 when the provider only asked for fewer calls. A retry that succeeds gives
back what it took, a first attempt that succeeds adds one, and a retry that fails gives nothing back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cognition.errors import CognitionError, RetryBudgetExhausted, Verdict

CAPACITY = 500
COSTS: Mapping[Verdict, int] = {"transient": 14, "timeout": 14, "throttled": 5}
"""Tokens that a retry takes, by what the attempt before it ended with; others say nothing against the provider."""


@dataclass(slots=True)
class RetryBudget:
    """The retry budget of one provider in this process; lives on the owner loop.

    Attributes:
        provider: Whose it is.
        tokens: What is left.
    """

    provider: str
    tokens: int = CAPACITY

    def take(self, error: CognitionError) -> int:
        """Pay for a retry after an error; return what it took.

        Raises:
            RetryBudgetExhausted: There is not enough left.
        """
        cost = COSTS.get(error.verdict, 0)
        if cost > self.tokens:
            raise RetryBudgetExhausted.of(self.provider)
        self.tokens -= cost
        return cost

    def succeeded(self, taken: int | None) -> None:
        """Give back what the successful attempt took, or reward a first one.

        Args:
            taken: What `take` returned for this attempt, None for a first attempt.
        """
        self.tokens = min(CAPACITY, self.tokens + (1 if taken is None else taken))


class RetryBudgets:
    """One retry budget a provider."""

    def __init__(self) -> None:
        """Start with full budgets."""
        self._budgets: dict[str, RetryBudget] = {}

    def of(self, provider: str) -> RetryBudget:
        """Return the budget of a provider."""
        return self._budgets.setdefault(provider, RetryBudget(provider))
