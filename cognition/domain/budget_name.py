"""How people name a budget, or one subject's counter of it: by id, or in words such as `workflow:nightly`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from cognition.domain.adjustment import CounterName
from cognition.domain.budget import EVERYONE, SCOPES, Budget, Scope
from cognition.errors import ConfigurationError

BudgetName = Budget | CounterName | UUID | str
"""A budget; its id; the id and a subject; or `scope:subject`, with `:period` where there are several."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A budget, and whose spend of it is meant.

    Attributes:
        budget: Which budget.
        subject: Whose; `*` when the budget is of everyone and nobody was named.
    """

    budget: Budget
    subject: str

    @property
    def counter(self) -> CounterName:
        """The name of the one counter that is meant.

        Raises:
            ConfigurationError: The budget is of everyone, and nobody was named.
        """
        if self.subject == EVERYONE:
            scope = self.budget.scope
            raise ConfigurationError(f"This budget is of each {_words(scope)} separately; name one, as {scope}:NAME.")
        if self.budget.budget_id is None:
            raise AssertionError("Budgets are kept with their id.")
        return CounterName(self.budget.budget_id, self.subject)


def name_of(budget: Budget) -> str:
    """Return how a budget is named in full, such as `workflow:nightly:daily`."""
    return f"{budget.scope}:{budget.subject}:{budget.period}"


def find_budget(name: BudgetName, budgets: Sequence[Budget]) -> Counted:
    """Return the budget that is meant, and whose spend of it.

    A subject that has no budget of its own means its counter of everyone's, so that `flow_run:ID` names the cap of one
    run.

    Args:
        name: What somebody wrote.
        budgets: All there are.

    Raises:
        ConfigurationError: There is none of this name, or several; the sentence says how to name one.
    """
    if isinstance(name, Budget):
        # As it was set, which may have been before the store gave it an id.
        same = [one for one in budgets if (name_of(one), one.length) == (name_of(name), name.length)]
        return _only(name_of(name), [Counted(one, one.subject) for one in same])
    if isinstance(name, CounterName):
        return Counted(_by_id(name.budget_id, budgets), name.subject)
    if isinstance(name, UUID):
        budget = _by_id(name, budgets)
        return Counted(budget, budget.subject)
    try:
        return find_budget(UUID(name), budgets)
    except ValueError:
        return _by_words(name, budgets)


def _by_id(budget_id: UUID, budgets: Sequence[Budget]) -> Budget:
    found = next((one for one in budgets if one.budget_id == budget_id), None)
    if found is None:
        raise ConfigurationError(f"There is no budget {budget_id}; see 'cognition budget list'.")
    return found


def _by_words(text: str, budgets: Sequence[Budget]) -> Counted:
    scope = next((one for one in SCOPES if text.startswith(f"{one}:") and text != f"{one}:"), None)
    if scope is None:
        raise ConfigurationError(
            f"{text!r} names no budget; write its id, or scope:subject such as workflow:nightly, where the scope is one"
            f" of {', '.join(SCOPES)}."
        )
    subject = text.removeprefix(f"{scope}:")
    own = [one for one in budgets if one.scope == scope and _means(one.subject, subject, one)]
    if own:
        return _only(text, [Counted(one, one.subject) for one in own])
    everyones = [one for one in budgets if one.scope == scope and one.subject == EVERYONE]
    whole = [Counted(one, subject) for one in everyones]
    parted = [
        Counted(one, shorter) for one in everyones if (shorter := subject.removesuffix(f":{one.period}")) != subject
    ]
    return _only(text, parted or whole)


def _means(own: str, given: str, budget: Budget) -> bool:
    return given in (own, f"{own}:{budget.period}")


def _only(text: str, found: Sequence[Counted]) -> Counted:
    if not found:
        raise ConfigurationError(f"There is no budget {text}; see 'cognition budget list'.")
    if len(found) > 1:
        names = sorted({f"{one.budget.scope}:{one.subject}:{one.budget.period}" for one in found})
        which = ", ".join(names if len(names) == len(found) else sorted(str(one.budget.budget_id) for one in found))
        raise ConfigurationError(f"There are {len(found)} budgets {text}; name one of {which}.")
    return found[0]


def _words(scope: Scope) -> str:
    return scope.replace("_", " ")
