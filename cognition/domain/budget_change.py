"""What becomes of a budget of which somebody names only what shall be different."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final

from cognition.domain.budget import Budget
from cognition.domain.budget_name import name_of

# A value that only one policy has: another policy is given without it, and it goes with the old one.
_ONLY_WITH: Final = {
    "price_ceiling_usd": ("on_unknown_price", "ceiling"),
    "last_known_max_age": ("on_store_down", "last_known"),
}


def same_budget(named: Mapping[str, Any], budgets: Sequence[Budget]) -> Budget | None:
    """Return the budget that has the scope, subject, period and length of what was named, or None.

    Args:
        named: Fields of `Budget`; what is left out has its default.
        budgets: All there are.
    """
    wanted = Budget(limit_usd=0, **{name: named[name] for name in ("scope", "subject", "period", "length")})
    return next((one for one in budgets if (name_of(one), one.length) == (name_of(wanted), wanted.length)), None)


def changed(before: Budget, named: Mapping[str, Any]) -> Budget:
    """Return a budget with some fields of other values, which counts from now on; the others stay.

    Args:
        before: The budget as it is.
        named: Fields of `Budget`.

    Raises:
        ConfigurationError: The values do not go together, or one is wrong.
    """
    gone = {
        value: None
        for value, (policy, word) in _ONLY_WITH.items()
        if value not in named and named.get(policy, word) != word
    }
    after = {"on_soft": before.on_soft, "on_hard": before.on_hard, **named}
    if "downgrade_to" not in named and "downgrade" not in {after["on_soft"], after["on_hard"]}:
        gone["downgrade_to"] = None
    return replace(before, active=True, **gone, **named)


def differences(before: Budget, after: Budget) -> dict[str, tuple[Any, Any]]:
    """Return what is different, by the name of the field: what it was, and what it is."""
    pairs = {one.name: (getattr(before, one.name), getattr(after, one.name)) for one in fields(Budget)}
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new and name != "budget_id"}
