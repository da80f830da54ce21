"""Money set aside for one attempt: what is asked for, what the budgets say, and what it finally cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID

from cognition.domain.attribution import Attribution
from cognition.domain.budget import Period, Scope, usd
from cognition.domain.pricing import dollars
from cognition.errors import BudgetExceeded, CognitionError, ConfigurationError, PriceUnknown

ReservationState = Literal["held", "settled", "released", "expired", "late"]
"""Set aside; booked; given back; given back because its lease ended; booked although it had been given back."""

Outcome = ReservationState | Literal["room", "refused", "unpriced"]
"""What a budget says: the state of the reservation; or that it would fit, does not fit, or has no known price."""


@dataclass(frozen=True, slots=True, order=True)
class CallAttempt:
    """Names an attempt for good, so that saying the same twice is saying it once.

    Attributes:
        call_key: The call's key in the ledger.
        attempt: 1 for the first attempt.
    """

    call_key: UUID
    attempt: int = 1


def subjects_of(tenant: str, attribution: Attribution, model: str) -> dict[Scope, str]:
    """Return whose budgets a call has to fit into.

    Args:
        tenant: Whose call it is.
        attribution: Who it is booked to; the flow run is the root one where that is known.
        model: `provider:model` that is to be asked.
    """
    named: dict[Scope, str | None] = {
        "tenant": tenant,
        "user": attribution.user,
        "team": attribution.team,
        "workflow": attribution.workflow,
        "task": attribution.task_name,
        "model": model,
        "flow_run": attribution.root_flow_run_id or attribution.flow_run_id,
    }
    return {scope: subject for scope, subject in named.items() if subject}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Asks for money for one attempt.

    Attributes:
        attempt: Which one.
        subjects: Whose budgets it has to fit into.
        estimate_usd: The most it can cost; None when the price is unknown.
        holder: Which process asks, for whoever looks at a stuck reservation.
        lease: After this time without renewal the money is given back, its holder has died.
    """

    attempt: CallAttempt
    subjects: Mapping[Scope, str]
    estimate_usd: Decimal | None
    holder: str
    lease: timedelta = timedelta(seconds=60)

    def __post_init__(self) -> None:
        """Refuse an estimate that is no amount.

        Raises:
            ConfigurationError: The estimate is no amount of US dollars, or the lease not positive.
        """
        if self.estimate_usd is not None:
            usd("estimate_usd", self.estimate_usd)
        if self.lease <= timedelta(0):
            raise ConfigurationError(f"A lease of {self.lease} ends before it begins; write a longer one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one subject's counter of a budget stands.

    Attributes:
        budget_id: Which budget.
        scope: Whose spend it limits.
        subject: Whose counter it is.
        period: After what time spending begins anew.
        limit_usd: How much.
        credit_usd: What adjustments added to the limit of this period.
        used_usd: What was spent in the window.
        reserved_usd: What is set aside in it.
        soft_limit: Share of the limit at which an alert is raised.
        on_soft: What happens to calls beyond the soft limit.
        on_hard: What happens to calls that no longer fit.
        downgrade_to: The cheaper model.
        period_start: Which period.
        resets_at: When money is next freed, in UTC; None for never.
    """

    budget_id: UUID
    scope: Scope
    subject: str
    period: Period
    limit_usd: Decimal
    credit_usd: Decimal
    used_usd: Decimal
    reserved_usd: Decimal
    soft_limit: Decimal
    on_soft: Literal["warn", "downgrade"]
    on_hard: Literal["block", "downgrade"]
    downgrade_to: str | None
    period_start: datetime
    resets_at: datetime | None

    @property
    def name(self) -> str:
        """Name of the budget in messages, such as `daily budget of workflow nightly`."""
        return f"{self.period} budget of {self.scope.replace('_', ' ')} {self.subject}"

    @property
    def total_usd(self) -> Decimal:
        """The limit with what adjustments added to it."""
        return self.limit_usd + self.credit_usd

    @property
    def remaining_usd(self) -> Decimal:
        """What may still be set aside; below zero when a call cost more than its estimate."""
        return self.total_usd - self.used_usd - self.reserved_usd

    @property
    def is_soft(self) -> bool:
        """Whether what is spent and set aside has reached the soft limit.

        What the next call may cost does not count: an upper bound, often many times what it costs in the end, is no
        reason to answer the first call of the day with a cheaper model.
        """
        return self.used_usd + self.reserved_usd >= self.soft_limit * self.total_usd

    @property
    def wants_cheaper(self) -> bool:
        """Whether the soft limit is reached and the cheaper model is to be asked then."""
        return self.on_soft == "downgrade" and self.is_soft

    def fits_alone(self, amount_usd: Decimal) -> bool:
        """Whether there would be room for an amount if nothing were set aside."""
        return self.used_usd + amount_usd <= self.total_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A threshold that was reached just now, for the first time in its period.

    Attributes:
        standing: The budget.
        threshold: A share of the limit: the soft limit, or 1.
    """

    standing: Standing
    threshold: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One budget's part in a reservation or a settlement.

    Attributes:
        standing: How the budget stood: before money was set aside, and after it was booked.
        outcome: What the budget says.
        estimate_usd: What is or would be set aside in it; None when the price is unknown.
        settled_usd: What was booked; None before that.
        changed: Whether this request changed anything, false for one that was made before.
        crossed: Thresholds that were reached just now.
    """

    standing: Standing
    outcome: Outcome
    estimate_usd: Decimal | None
    settled_usd: Decimal | None = None
    changed: bool = False
    crossed: tuple[Decimal, ...] = ()

    @property
    def is_full_for_now(self) -> bool:
        """Whether there would be room if nothing were set aside."""
        return self.standing.fits_alone(self.estimate_usd or Decimal(0))

    @property
    def never_fits(self) -> bool:
        """Whether there is no room and no waiting makes some: nothing resets, or the whole limit is too little."""
        too_much = (self.estimate_usd or Decimal(0)) > self.standing.limit_usd
        return not self.is_full_for_now and (too_much or self.standing.resets_at is None)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What the budgets say to a claim, or what they booked.

    Attributes:
        shares: One for each budget that applies, in the store's order; none when nothing limits the call.
    """

    shares: tuple[Share, ...] = ()

    @property
    def admitted(self) -> bool:
        """Whether the attempt may be made: no budget objects, and it has not been made before."""
        return all(share.outcome == "held" for share in self.shares)

    @property
    def crossings(self) -> tuple[Crossing, ...]:
        """What observers are to be told."""
        return tuple(
            Crossing(standing=share.standing, threshold=threshold)
            for share in self.shares
            for threshold in share.crossed
        )

    def cheaper_than(self, avoided: Collection[str]) -> str | None:
        """Return the cheaper model that a budget asks for, or None when none does.

        Budgets that have no room come first: without the cheaper model there is no answer. Then those beyond their soft
        limit.

        Args:
            avoided: Models that would change nothing: the one that was to be asked, and those that were replaced.
        """
        refused = [one.standing for one in self.shares if one.outcome == "refused"]
        asking = [
            *(one for one in refused if "downgrade" in (one.on_soft, one.on_hard)),
            *(one.standing for one in self.shares if one.standing.wants_cheaper),
        ]
        wished = (one.downgrade_to for one in asking)
        return next((model for model in wished if model is not None and model not in avoided), None)

    def objection(self, model: str, why: str | None = None) -> CognitionError | None:
        """Return why the attempt may not be made, or None when it may.

        Of several budgets that object, the one is named that keeps the caller waiting longest; so whoever is told that
        a budget is full for now knows that no other one stands in the way for longer.

        Args:
            model: `provider:model` that was to be asked.
            why: Why nobody knows what it costs at most although its price is known, such as `it asks for audio`.
        """
        refused = [share for share in self.shares if share.outcome == "refused"]
        longest = max(refused, key=_waiting, default=None)
        if longest is not None and not longest.is_full_for_now:
            return _exceeded(longest)
        if any(share.outcome == "unpriced" for share in self.shares):
            return _unpriced(model, why)
        if longest is not None:
            return _exceeded(longest)
        ended = next((share.outcome for share in self.shares if share.outcome not in ("held", "room")), None)
        return None if ended is None else ConfigurationError(_REPEATED.format(state=ended))


_REPEATED = "This attempt's money is {state} already; give each call a request id of its own."


def _waiting(share: Share) -> tuple[bool, bool, bool, float]:
    resets_at = share.standing.resets_at
    moment = resets_at.timestamp() if resets_at else 0.0
    return share.never_fits, not share.is_full_for_now, resets_at is None, moment


def _unpriced(model: str, why: str | None) -> PriceUnknown:
    what, remedy = f"The price of {model} is unknown", "set the price (COGNITION_PRICES)"
    if why is not None:
        what, remedy = f"What a call of {model} costs at most is not known ({why})", "ask without that"
    return PriceUnknown(
        f"{what} and a budget limits this call; {remedy}, or write"
        " on_unknown_price='ceiling' or 'allow' in the budget.",
        provider=model.partition(":")[0],
        model=model,
    )


def _exceeded(share: Share) -> BudgetExceeded:
    standing = share.standing
    amounts = {
        "limit": standing.total_usd,
        "used": standing.used_usd,
        "reserved": standing.reserved_usd,
        "requested": share.estimate_usd or Decimal(0),
    }
    limit, used, reserved, requested = (dollars(amount) for amount in amounts.values())
    resets_at = None if standing.resets_at is None else standing.resets_at.isoformat()
    when = "and it never resets" if resets_at is None else f"and money is freed at {resets_at}"
    advice = "Wait, ask for fewer tokens, or let its owner raise the limit."
    if share.never_fits:
        advice = "Waiting does not help: ask for fewer tokens (max_tokens), or let its owner raise the limit."
    return BudgetExceeded(
        f"The {standing.name} is {limit}: {used} is spent, {reserved} is set aside, this call may cost {requested},"
        f" {when}. {advice}",
        budget=standing.name,
        resets_at=resets_at,
        **{name: str(amount) for name, amount in amounts.items()},
    )
