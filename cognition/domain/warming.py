"""What will be asked soon, and what came of asking it before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from cognition.domain.completion import Prompt
from cognition.errors import ConfigurationError

WARM_TAG = "cognition:warm"
"""Marks the calls of warming in the ledger: they must not make a request frequent, or it would be warmed for ever."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A prompt that will be asked.

    Attributes:
        prompt: As for `Cognition.complete`.
        options: As for `Cognition.complete`, where they differ from those of the whole run.
    """

    prompt: Prompt
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequent:
    """A request that the ledger knows.

    Attributes:
        key: Its exact key.
        namespace: Its namespace.
        model: The model that was asked for.
        calls: How often it was asked, warming left out.
        cost_usd: What it cost at most, None when that is unknown.
        text: Its last user message, None when it is kept nowhere: of all tables only L3's hold prompts.
    """

    key: bytes
    namespace: str
    model: str
    calls: int
    cost_usd: Decimal | None
    text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmPlan:
    """How far warming may go.

    Attributes:
        max_cost_usd: Ask for no more than this, as far as earlier costs tell what the next call costs; None for no
            limit.
        ahead: Answers whose life in L2 ends sooner than this are asked for anew.
        concurrency: How many calls are made side by side; live traffic needs places as well.
        max_failures: After so many failures in a row the rest is left.
    """

    max_cost_usd: Decimal | None = None
    ahead: timedelta = timedelta(minutes=10)
    concurrency: int = 4
    max_failures: int = 5

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant.

        Raises:
            ConfigurationError: A number is out of range.
        """
        if self.max_cost_usd is not None and not (self.max_cost_usd.is_finite() and self.max_cost_usd >= 0):
            raise ConfigurationError("The max_cost_usd of a WarmPlan must be an amount of US dollars, such as 0.50.")
        if self.ahead < timedelta(0) or self.concurrency < 1 or self.max_failures < 1:
            raise ConfigurationError("A WarmPlan looks ahead, and has a concurrency and max_failures of at least 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed:
    """What came of it.

    Attributes:
        wishes: How many prompts there were.
        asked: How many the provider was asked and answered.
        refreshed: How many of those replaced an answer that was about to expire.
        shared: How many got an answer that cost nothing: that of a similar question, or one stored meanwhile.
        unkept: How many of the answers are not in the cache, such as one that was cut off.
        cost_usd: What the answers cost, as far as prices are known.
        skipped: How many were left, by the reason.
        failed: How many failed, by the class of the error.
        stopped: Why the rest was left, None when nothing was.
    """

    wishes: int
    asked: int
    refreshed: int
    shared: int
    unkept: int
    cost_usd: Decimal
    skipped: Mapping[str, int]
    failed: Mapping[str, int]
    stopped: str | None

    @property
    def sentence(self) -> str:
        """All of it in one sentence for people."""
        parts = [f"{self.asked:,} of {self.wishes:,} prompts were asked for ${self.cost_usd:f}"]
        parts += [f"{self.refreshed:,} of them anew before they expire"] if self.refreshed else []
        parts += [f"{self.shared:,} got an answer that was there meanwhile"] if self.shared else []
        parts += [f"{self.unkept:,} answers may not be cached"] if self.unkept else []
        parts += [f"{count:,} left: {reason}" for reason, count in self.skipped.items()]
        parts += [f"{count:,} failed: {error}" for error, count in self.failed.items()]
        parts += [f"stopped because {self.stopped}"] if self.stopped else []
        return "; ".join(parts) + "."
