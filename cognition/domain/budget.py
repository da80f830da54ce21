"""What may be spent: whose spend, how much, in which period, and what happens at the limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Generic, Literal, Self, TypeVar, get_args, overload
from uuid import UUID
from zoneinfo import ZoneInfo

from cognition.domain.pricing import to_usd
from cognition.errors import ConfigurationError

Scope = Literal["tenant", "user", "team", "workflow", "task", "model", "flow_run"]
"""Whose spend is limited; a flow run is the root one, with all its subflows, mapped tasks and retries."""

Period = Literal["daily", "weekly", "monthly", "quarterly", "rolling", "lifetime"]
"""After what time spending begins anew; a rolling period looks back from each call, a lifetime never ends."""

SCOPES: tuple[Scope, ...] = get_args(Scope)
PERIODS: tuple[Period, ...] = get_args(Period)

EVERYONE = "*"
"""The subject of a budget that every user, team, flow run … has separately."""

HOUR = timedelta(hours=1)
LONGEST_ROLLING = timedelta(days=31)  # hourly buckets, all of them added up by each call

_ACTIONS = {"on_soft": ("warn", "downgrade"), "on_hard": ("block", "downgrade")}
_UNKNOWN_PRICE = ("refuse", "ceiling", "allow")
_STORE_DOWN = ("closed", "open", "last_known")
_LARGEST = Decimal(10) ** 11  # NUMERIC(20,9) has eleven digits before the point

Given = TypeVar("Given")
Kept = TypeVar("Kept")


class _Exactly(Generic[Given, Kept]):
    """A field that may be written in several types and is always read as one."""

    def __init__(self, convert: Callable[[str, Given], Kept], *default: Kept) -> None:
        self._convert = convert
        self._default = default
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Kept: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Kept: ...
    def __get__(self, instance: object | None, owner: type) -> Kept:
        if instance is not None:
            return vars(instance)[self._name]
        if not self._default:
            raise AttributeError(self._name)  # says to dataclasses that the field has no default
        return self._default[0]

    def __set__(self, instance: object, value: Given) -> None:
        vars(instance)[self._name] = self._convert(self._name, value)


def usd(name: str, value: Decimal | str | int) -> Decimal:
    """Return an amount of US dollars as written, exactly.

    Args:
        name: What is written, for the message.
        value: The amount; a float is refused, because 0.1 is not a tenth in it.

    Raises:
        ConfigurationError: It is no amount, below zero, or has more than nine places.
    """
    if isinstance(value, (float, bool)):
        raise ConfigurationError(f"{name} is {value!r}; write money as text or Decimal, such as '5.00'.")
    try:
        amount = Decimal(value)
        exact = amount.is_finite() and to_usd(amount) == amount and 0 <= amount < _LARGEST
    except (InvalidOperation, TypeError, ValueError):
        exact, amount = False, Decimal(0)
    if not exact:
        raise ConfigurationError(
            f"{name} is {value!r}; write US dollars, zero or more, with at most nine places, such as '5.00'."
        )
    return to_usd(amount)


def _optional_usd(name: str, value: Decimal | str | int | None) -> Decimal | None:
    return None if value is None else usd(name, value)


def _share(name: str, value: Decimal | str | float) -> Decimal:
    try:
        share = Decimal(str(value))
        fits = 0 < share <= 1 and share == share.quantize(Decimal("0.0001"))
    except InvalidOperation:
        fits, share = False, Decimal(1)
    if not fits:
        raise ConfigurationError(
            f"{name} is {value!r}; write a share of the limit above 0 and at most 1, with at most four places, such as"
            " 0.8."
        )
    return share


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A limit on what somebody or something spends in a period.

    Attributes:
        scope: Whose spend is limited.
        subject: Which user, team, workflow, task, model or root flow run; `*` for each of them separately.
        limit_usd: How much; given as text, whole number or Decimal, never as float.
        period: After what time spending begins anew.
        length: Of a rolling period, whole hours.
        timezone: IANA name of the zone whose calendar counts.
        week_start: Of a weekly period, the day it starts with; 1 is Monday, 7 is Sunday.
        soft_limit: Share of the limit at which an alert is raised.
        on_soft: What happens to calls beyond the soft limit: a mere alert, or the cheaper model.
        on_hard: What happens to calls that no longer fit: refused, or the cheaper model while it fits.
        downgrade_to: The cheaper model, `provider:model`.
        on_unknown_price: What happens to calls of models whose price nobody knows.
        price_ceiling_usd: What such a call reserves under the policy `ceiling`.
        on_store_down: What happens while the database is away: nobody may spend, everybody may, or as last known.
        last_known_max_age: For how long `last_known` is good.
        active: Whether it counts.
        budget_id: Given by the store.
    """

    scope: Scope
    subject: str = EVERYONE
    limit_usd: _Exactly[Decimal | str | int, Decimal] = _Exactly(usd)
    period: Period
    length: timedelta = timedelta(0)
    timezone: str = "UTC"
    week_start: int = 1
    soft_limit: _Exactly[Decimal | str | float, Decimal] = _Exactly(_share, Decimal("0.8"))
    on_soft: Literal["warn", "downgrade"] = "warn"
    on_hard: Literal["block", "downgrade"] = "block"
    downgrade_to: str | None = None
    on_unknown_price: Literal["refuse", "ceiling", "allow"] = "refuse"
    price_ceiling_usd: _Exactly[Decimal | str | int | None, Decimal | None] = _Exactly(_optional_usd, None)
    on_store_down: Literal["closed", "open", "last_known"] = "closed"
    last_known_max_age: timedelta | None = None
    active: bool = True
    budget_id: UUID | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be enforced.

        Raises:
            ConfigurationError: One sentence that says which value is wrong and what to write instead.
        """
        _one_of("scope", self.scope, SCOPES)
        _one_of("period", self.period, PERIODS)
        if not self.subject.strip():
            raise ConfigurationError(f"The subject is empty; name the {self.scope}, or write '*' for each separately.")
        _check_length(self)
        zone_of(self.timezone)
        if self.week_start not in range(1, 8) or isinstance(self.week_start, bool):
            raise ConfigurationError(f"week_start is {self.week_start!r}; write 1 for Monday to 7 for Sunday.")
        self._check_policies()

    def _check_policies(self) -> None:
        for name, words in _ACTIONS.items():
            _one_of(name, getattr(self, name), words)
        _one_of("on_unknown_price", self.on_unknown_price, _UNKNOWN_PRICE)
        _one_of("on_store_down", self.on_store_down, _STORE_DOWN)
        if "downgrade" in (self.on_soft, self.on_hard) and not self.downgrade_to:
            raise ConfigurationError("A budget that downgrades needs downgrade_to='provider:model'.")
        if self.downgrade_to is not None:
            _check_model(self.downgrade_to)
        if (self.on_unknown_price == "ceiling") != (self.price_ceiling_usd is not None):
            raise ConfigurationError("price_ceiling_usd and on_unknown_price='ceiling' go together; give both or none.")
        age = self.last_known_max_age
        if (self.on_store_down == "last_known") != (age is not None) or (age is not None and age <= timedelta(0)):
            raise ConfigurationError(
                "last_known_max_age, longer than zero, and on_store_down='last_known' go together; give both or none."
            )

    @classmethod
    def per_run(cls, limit_usd: Decimal | str | int) -> Self:
        """Return a cap that every root flow run has for itself, shared by all that runs within it."""
        return cls(scope="flow_run", limit_usd=limit_usd, period="lifetime")

    def counts_for(self, subjects: Mapping[Scope, str]) -> str | None:
        """Return whose counter of this budget a call uses, or None when the budget has nothing to do with it."""
        subject = subjects.get(self.scope)
        return subject if self.active and subject and self.subject in (EVERYONE, subject) else None


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises:
        ConfigurationError: There is none of this name.
    """
    try:
        # PostgreSQL reads CET, EET, MET and WET as abbreviations that know no summer.
        if "/" in name or name == "UTC":
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, or a path out of the zones' folder, or a folder
        pass
    raise ConfigurationError(f"There is no time zone {name!r}; write an IANA name such as 'Europe/Berlin' or 'UTC'.")


def _check_model(name: str) -> None:
    provider, _, model = name.partition(":")
    if not (provider.strip() and model.strip()):
        raise ConfigurationError(
            f"downgrade_to is {name!r}, which names no provider; write 'provider:model', such as 'openai:gpt-5-nano'."
        )


def _check_length(budget: Budget) -> None:
    length = budget.length
    if budget.period != "rolling":
        if length:
            raise ConfigurationError(
                f"A {budget.period} budget has no length; leave it out, or write period='rolling'."
            )
    elif not HOUR <= length <= LONGEST_ROLLING or length % HOUR:
        raise ConfigurationError(
            f"A rolling period of {length} is not supported; write whole hours from one hour to"
            f" {LONGEST_ROLLING.days} days, such as length=timedelta(hours=24)."
        )


def _one_of(name: str, value: str, words: tuple[str, ...]) -> None:
    if value not in words:
        raise ConfigurationError(f"{name} is {value!r}; write one of {', '.join(words)}.")
