"""What monitoring sees of a store: totals that only grow, and how budgets, breakers and spool stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from cognition.domain import breaker_standing, reservation
from cognition.domain.budget_alert import AlertState
from cognition.domain.entry import Layer
from cognition.domain.settlement import SpoolState


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedTotal:
    """What one layer did for the calls of one model, since the first of them.

    Attributes:
        layer: The layer; of the provider, an attempt that brought an answer is a hit and any other one a miss.
        model: The model that was asked for, `provider:model`.
        hits: Look-ups it answered.
        misses: Look-ups it could not answer.
        refusals: In L3, near questions whose answers were refused, counted among the misses.
        corrupt: Unreadable values it met.
        stores: Answers written to it.
        errors: Attempts that failed, which are those misses of the provider that nobody cancelled.
        input_tokens: Tokens sent in attempts.
        output_tokens: Tokens received in attempts.
        cost_usd: Sum of known costs.
        saved_usd: What its hits saved.
        timed: How many answers and attempts were timed.
        seconds: How long they took in all.
    """

    layer: Layer
    model: str
    hits: int = 0
    misses: int = 0
    refusals: int = 0
    corrupt: int = 0
    stores: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    saved_usd: Decimal = Decimal(0)
    timed: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What monitoring sees.

    Attributes:
        served: Totals by layer and model.
        budgets: How counters of budgets stand, the latest used ones first.
        breakers: How breakers stand that ever saw a failure or an order.
        alerts: How many alerts are in each state, but for those that are resolved.
        spooled: What waits on this machine.
    """

    served: Sequence[ServedTotal]
    budgets: Sequence[reservation.Standing]
    breakers: Sequence[breaker_standing.Standing]
    alerts: Mapping[AlertState, int]
    spooled: SpoolState
