"""Errors of the command line name the options that were typed, not parameters of Python."""

from __future__ import annotations

import pytest

from tests.command_line import refusal

BUDGET = ("--scope", "user", "--limit", "5", "--period", "daily")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--limit", "much"), "--limit is 'much'; write US dollars"),
        (("--scope", "everybody"), "--scope is 'everybody'; write one of tenant, user"),
        (("--period", "hourly"), "--period is 'hourly'; write one of daily, weekly"),
        (("--soft-limit", "2"), "--soft-limit is '2'; write a share"),
        (("--week-start", "8"), "--week-start is 8; write 1 for Monday"),
        (("--on-soft", "shout"), "--on-soft is 'shout'; write one of warn, downgrade."),
        (("--on-hard", "downgrade"), "needs --downgrade-to provider:model."),
        (("--on-hard", "downgrade", "--downgrade-to", "x"), "--downgrade-to is 'x', which names no provider"),
        (("--on-unknown-price", "ceiling"), "--price-ceiling and --on-unknown-price ceiling go together"),
        (("--price-ceiling", "x"), "--price-ceiling is 'x'; write US dollars"),
        (
            ("--on-store-down", "last_known"),
            "--last-known-minutes, longer than zero, and --on-store-down last_known go",
        ),
        (("--period", "rolling"), "from one hour to 31 days, such as --length-hours 24."),
        (("--length-hours", "5"), "leave it out, or write --period rolling."),
        (("--limit", "on_hard"), "--limit is 'on_hard'"),
    ],
)
def test_a_budget_is_refused_in_the_words_of_who_typed_it(
    database_url: str, redis_url: str, typed: tuple[str, ...], said: str
) -> None:
    """The option is there to be typed again; what is named may be a part of a budget that is there."""
    environment = {"COGNITION_DATABASE_URL": database_url, "COGNITION_REDIS_URL": redis_url}
    assert said in refusal(environment, "budget", "set", *BUDGET, *typed)


@pytest.mark.parametrize("amount", ["x", "-1", "NaN"])
def test_an_amount_that_is_none_is_refused(amount: str) -> None:
    """The option is named, not the plan that it goes into."""
    said = refusal({}, "cache", "warm", "--max-cost-usd", amount)

    assert f"--max-cost-usd '{amount}' is no amount; write US dollars, such as 0.50." == said
