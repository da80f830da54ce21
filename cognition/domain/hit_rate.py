"""How well the cache serves: counts of look-ups beside those of the time before, and what is known of wrong answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from cognition.domain.charges import Sums
from cognition.domain.entry import Layer
from cognition.domain.error_bound import Basis

CountedBy = Literal["layer", "namespace", "model"]
"""What the rollups tell apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How look-ups ended.

    Attributes:
        hits: Look-ups that were answered.
        misses: Look-ups that were not.
        refusals: In L3, near answers that were refused, counted among the misses.
        corrupt: Unreadable values that were met.
        stores: Answers that were written.
        saved_usd: What the hits saved.
    """

    hits: int = 0
    misses: int = 0
    refusals: int = 0
    corrupt: int = 0
    stores: int = 0
    saved_usd: Decimal = Decimal(0)

    @property
    def hit_rate(self) -> float | None:
        """Share of look-ups that were answered, None when there were none."""
        return self.hits / (self.hits + self.misses) if self.hits + self.misses else None


@dataclass(frozen=True, slots=True)
class LookUps:
    """The look-ups of one layer, or of one namespace or model in it.

    Attributes:
        by: What is told apart.
        value: Which namespace or model; None for the layer as a whole.
        layer: In which layer.
        counts: In the window.
        before: In the window before.
    """

    by: CountedBy
    value: str | None
    layer: Layer
    counts: Counts
    before: Counts

    @property
    def trend(self) -> float | None:
        """By how much the hit rate has grown, None when one of the windows had no look-up."""
        return difference(self.counts.hit_rate, self.before.hit_rate)


@dataclass(frozen=True, slots=True)
class Served:
    """The calls of one workflow.

    Attributes:
        workflow: Which; None for calls outside of any.
        sums: In the window.
        before: In the window before.
    """

    workflow: str | None
    sums: Sums
    before: Sums

    @property
    def trend(self) -> float | None:
        """By how much the share of calls from the cache has grown, None when one of the windows had no call."""
        now, then = ((sums.hit_rate if sums.calls else None) for sums in (self.sums, self.before))
        return difference(now, then)


@dataclass(frozen=True, slots=True)
class Missed:
    """One request that was asked of the provider again and again; `explain` says why of a prompt with this key.

    Attributes:
        key: The exact key in hexadecimal.
        namespace: In which namespace.
        model: The model that was asked for.
        calls: How often the provider was asked.
        cost_usd: What that cost.
    """

    key: str
    namespace: str
    model: str
    calls: int
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class Refused:
    """Where L3 refused near answers.

    Attributes:
        namespace: In which namespace.
        model: For which model.
        refusals: How many.
        look_ups: Of how many.
    """

    namespace: str
    model: str
    refusals: int
    look_ups: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How right the answers of L3 are in one namespace, as far as they were judged.

    Attributes:
        namespace: Which.
        embedder: Fingerprint of the embedder that compared the questions.
        labels: How many of the newest verdicts are about answers above the threshold.
        wrong: How many of those say wrong. What users report is always wrong, so the estimate errs on the low side.
        threshold: What a neighbour must reach now.
        basis: What the threshold rests on, see `cognition.domain.error_bound.Bar`.
        at_least: The precision is above this, with the confidence of the policy.
    """

    namespace: str
    embedder: str
    labels: int
    wrong: int
    threshold: float
    basis: Basis
    at_least: float

    @property
    def precision(self) -> float | None:
        """Share of judged answers that were right, None when none was judged."""
        return 1 - self.wrong / self.labels if self.labels else None


@dataclass(frozen=True, slots=True)
class Embedded:
    """What one embedder had to do.

    Attributes:
        embedder: Its fingerprint.
        vectors: How many vectors were made or used.
        mean_bytes: Mean length of the texts that are kept, None when none is.
    """

    embedder: str
    vectors: int
    mean_bytes: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Two windows next to each other.

    Attributes:
        tenant: Whose look-ups.
        before: Start of the earlier one; a whole hour, as `since` is.
        since: Start of the later one.
        until: Its end.
    """

    tenant: str
    before: datetime
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HitRates:
    """How well the cache served, and what there is to do about it.

    Attributes:
        windows: Which times are compared.
        total: What all calls came to, in the window.
        total_before: And in the window before.
        look_ups: By layer, then by namespace and by model in each layer.
        workflows: Share of calls answered from the cache, most calls first.
        precision: By namespace, as far as answers of L3 were judged.
        misses: Requests that the provider was asked for most often, none of them only once.
        refusals: Where L3 refused most.
        embedding_usd: What vectors cost in the window, estimated; None when the price of an embedder is unknown.
    """

    windows: Windows
    total: Sums
    total_before: Sums
    look_ups: Sequence[LookUps]
    workflows: Sequence[Served]
    precision: Sequence[Precision]
    misses: Sequence[Missed]
    refusals: Sequence[Refused]
    embedding_usd: Decimal | None

    @property
    def net_usd(self) -> Decimal | None:
        """What the cache saved after the cost of vectors, None when that is unknown."""
        return None if self.embedding_usd is None else self.total.saved_usd - self.embedding_usd

    def by(self, what: CountedBy) -> list[LookUps]:
        """Return the look-ups told apart by one thing."""
        return [one for one in self.look_ups if one.by == what]


def difference(now: float | None, then: float | None) -> float | None:
    """Return by how much a share has grown, None when one of them is unknown."""
    return None if now is None or then is None else now - then
