"""How people name a budget, and one subject's part of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from cognition import Budget
from cognition.domain.adjustment import CounterName
from cognition.domain.budget_name import BudgetName, find_budget
from cognition.errors import ConfigurationError

RUNS = replace(Budget.per_run("0.50"), budget_id=UUID(int=1))
ALICE = Budget(scope="user", subject="alice", limit_usd="5", period="daily", budget_id=UUID(int=2))
ALICE_MONTHLY = replace(ALICE, period="monthly", budget_id=UUID(int=3))
USERS = replace(ALICE, subject="*", budget_id=UUID(int=4))
MODEL = Budget(scope="model", subject="ollama:llama3:8b", limit_usd="1", period="daily", budget_id=UUID(int=5))
TWO = tuple(
    Budget(scope="team", subject="x", limit_usd="1", period="rolling", length=timedelta(hours=hours), budget_id=uuid4())
    for hours in (1, 2)
)
ALL = (RUNS, ALICE, ALICE_MONTHLY, USERS, MODEL, *TWO)


@pytest.mark.parametrize(
    ("name", "budget", "subject"),
    [
        (str(UUID(int=2)), ALICE, "alice"),
        (UUID(int=2), ALICE, "alice"),
        (replace(ALICE, budget_id=None, limit_usd="9"), ALICE, "alice"),
        ("user:alice:daily", ALICE, "alice"),
        ("user:alice:monthly", ALICE_MONTHLY, "alice"),
        ("user:bob", USERS, "bob"),
        ("user:bob:daily", USERS, "bob"),
        ("user:*", USERS, "*"),
        ("flow_run:4d7f", RUNS, "4d7f"),
        ("flow_run:*:lifetime", RUNS, "*"),
        (CounterName(UUID(int=1), "4d7f"), RUNS, "4d7f"),
        ("model:ollama:llama3:8b", MODEL, "ollama:llama3:8b"),
        ("model:ollama:llama3:8b:daily", MODEL, "ollama:llama3:8b"),
        (TWO[1], TWO[1], "x"),
    ],
)
def test_a_name_means_a_budget_and_a_subject(name: BudgetName, budget: Budget, subject: str) -> None:
    """Names of models hold colons; who has no budget of their own has a part of everyone's."""
    found = find_budget(name, ALL)

    assert (budget, subject) == (found.budget, found.subject)


def test_a_counter_is_named_by_budget_and_subject() -> None:
    """What the store is asked for."""
    assert CounterName(UUID(int=4), "bob") == find_budget("user:bob", ALL).counter


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("user:alice", "There are 2 budgets user:alice; name one of user:alice:daily, user:alice:monthly."),
        ("team:x", f"There are 2 budgets team:x; name one of {', '.join(sorted(str(one.budget_id) for one in TWO))}."),
        ("workflow:nightly", "There is no budget workflow:nightly; see 'cognition budget list'."),
        (UUID(int=9), f"There is no budget {UUID(int=9)}; see 'cognition budget list'."),
        (replace(ALICE, period="weekly"), "There is no budget user:alice:weekly; see 'cognition budget list'."),
        ("nightly", "'nightly' names no budget; write its id, or scope:subject such as workflow:nightly"),
        ("user:", "'user:' names no budget; write its id, or scope:subject such as workflow:nightly"),
    ],
)
def test_what_names_none_or_several_is_refused(name: BudgetName, said: str) -> None:
    """In one sentence that says how to name one."""
    with pytest.raises(ConfigurationError) as raised:
        find_budget(name, ALL)

    assert str(raised.value).startswith(said)


def test_everybody_is_nobody() -> None:
    """A budget of everyone has as many counters as there are subjects."""
    with pytest.raises(ConfigurationError, match=r"of each flow run separately; name one, as flow_run:NAME\.$"):
        _ = find_budget(RUNS, ALL).counter
