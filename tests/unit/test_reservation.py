"""What is made of the budgets' answers: may the call be made, with which model, and what is the caller told?"""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from cognition.domain.attribution import Attribution
from cognition.domain.reservation import CallAttempt, Claim, Outcome, Reservation, Share, Standing, subjects_of
from cognition.errors import BudgetExceeded, CognitionError, ConfigurationError, PriceUnknown

TOMORROW = datetime(2026, 11, 23, tzinfo=UTC)
STANDING = Standing(
    budget_id=UUID(int=1),
    scope="workflow",
    subject="nightly",
    period="daily",
    limit_usd=Decimal("5.000000000"),
    credit_usd=Decimal(1),
    used_usd=Decimal("4.5"),
    reserved_usd=Decimal("1.2"),
    soft_limit=Decimal("0.8"),
    on_soft="warn",
    on_hard="block",
    downgrade_to=None,
    period_start=TOMORROW - timedelta(days=1),
    resets_at=TOMORROW,
)
MODEL, CHEAPER = "openai:gpt-5", "openai:gpt-5-nano"


def share(outcome: Outcome, usd: str | None = "0.40", **standing: Any) -> Share:
    """Return what one budget says."""
    amount = None if usd is None else Decimal(usd)
    return Share(standing=replace(STANDING, **standing), outcome=outcome, estimate_usd=amount)


def refusal(*shares: Share) -> BudgetExceeded:
    """Return the refusal that a caller gets."""
    error = Reservation(shares).objection(MODEL)
    assert isinstance(error, BudgetExceeded)
    return error


def test_a_call_is_admitted_when_nobody_objects() -> None:
    """All hold money for it, or nothing limits it."""
    for shares in ((), (share("held"), share("held"))):
        assert (True, None) == (Reservation(shares).admitted, Reservation(shares).objection(MODEL))


def test_a_refusal_has_all_the_numbers() -> None:
    """The sentence says who, how much, and when there is money again."""
    error = refusal(share("room"), share("refused"))

    assert ("daily budget of workflow nightly", TOMORROW) == (error.budget, error.resets_at)
    assert (Decimal(6), Decimal("4.5"), Decimal("1.2"), Decimal("0.4")) == (
        error.limit,
        error.used,
        error.reserved,
        error.requested,
    )
    assert (
        "The daily budget of workflow nightly is $6.00: $4.50 is spent, $1.20 is set aside, this call may cost $0.40,"
        " and money is freed at 2026-11-23T00:00:00+00:00. "
        "Wait, ask for fewer tokens, or let its owner raise the limit."
    ) == str(error)


@pytest.mark.parametrize("through", ["pickle", "json"])
def test_the_numbers_of_a_refusal_travel_exactly(through: str) -> None:
    """As decimals, with a budget that never resets too."""
    sent = refusal(share("refused", "0.000000001", resets_at=None, used_usd=Decimal("5.999999999")))

    arrived = (
        pickle.loads(pickle.dumps(sent))  # noqa: S301  our own
        if through == "pickle"
        else CognitionError.from_dict(json.loads(json.dumps(sent.to_dict())))
    )

    assert isinstance(arrived, BudgetExceeded)
    assert (Decimal("5.999999999"), Decimal("0.000000001"), None) == (
        arrived.used,
        arrived.requested,
        arrived.resets_at,
    )
    assert "$5.999999999 is spent" in str(arrived)
    assert "it never resets" in str(arrived)


def test_the_budget_that_keeps_the_caller_waiting_longest_is_named() -> None:
    """Waiting for the day to end would not help a month that is spent."""
    month = share("refused", period="monthly", resets_at=TOMORROW + timedelta(days=8))
    run = share("refused", scope="flow_run", subject="r1", period="lifetime", resets_at=None)
    assert "monthly budget of workflow nightly" == refusal(share("refused"), month).budget
    assert "lifetime budget of flow run r1" == refusal(share("refused"), run, month).budget


def test_a_refusal_that_lasts_is_named_before_one_that_is_full_for_now() -> None:
    """Or callers would wait for money that another budget never has."""
    full_for_now = share("refused", scope="flow_run", subject="r1", period="lifetime", resets_at=None)
    spent = share("refused", used_usd=Decimal("5.9"))
    too_small = share("refused", scope="user", subject="alice", limit_usd=Decimal("0.1"), credit_usd=Decimal(0))

    assert refusal(full_for_now).is_full_for_now
    for shares in ((full_for_now, spent), (spent, full_for_now)):
        assert (False, "workflow") == (refusal(*shares).is_full_for_now, refusal(*shares).budget.split()[3])
    assert "daily budget of user alice" == refusal(full_for_now, spent, too_small).budget


@pytest.mark.parametrize(
    ("one", "helps"),
    [
        (share("refused"), True),
        (share("refused", used_usd=Decimal("5.9")), True),
        (share("refused", used_usd=Decimal("5.9"), resets_at=None), False),
        (share("refused", "5.50", used_usd=Decimal("5.9")), False),
        (share("refused", "5.50", used_usd=Decimal(0)), True),
    ],
    ids=["full for now", "spent today", "spent for good", "more than a whole day's", "fits with what was added"],
)
def test_nobody_is_told_to_wait_for_nothing(one: Share, helps: bool) -> None:  # noqa: FBT001  a parameter of pytest
    """What does not fit into an empty budget will not tomorrow."""
    sentence = str(refusal(one))

    assert helps == (". Wait, ask for fewer tokens" in sentence)
    assert helps != (". Waiting does not help: ask for fewer tokens (max_tokens), or let" in sentence)


def test_who_cannot_be_priced_does_not_wait() -> None:
    """For now there is no room in one budget, and never will be a price in the other."""
    error = Reservation((share("refused"), share("unpriced", None))).objection(MODEL)
    assert isinstance(error, PriceUnknown)


def test_an_unknown_bound_says_why() -> None:
    """The price is known, so that nobody is sent to set it."""
    shares = (share("unpriced", None),)

    assert (
        f"The price of {MODEL} is unknown and a budget limits this call; set the price (COGNITION_PRICES), or write"
        " on_unknown_price='ceiling' or 'allow' in the budget."
    ) == str(Reservation(shares).objection(MODEL))
    assert (
        f"What a call of {MODEL} costs at most is not known (it asks for audio) and a budget limits this call; ask"
        " without that, or write on_unknown_price='ceiling' or 'allow' in the budget."
    ) == str(Reservation(shares).objection(MODEL, "it asks for audio"))


def test_an_unknown_price_is_an_error_of_its_own() -> None:
    """It says which model, and what can be written instead."""
    error = Reservation((share("held"), share("unpriced", None))).objection(MODEL)
    assert isinstance(error, PriceUnknown)
    assert ("openai", MODEL, True) == (error.provider, error.model, error.elsewhere)


@pytest.mark.parametrize("state", ["settled", "released", "expired", "late"])
def test_an_attempt_is_made_once(state: Outcome) -> None:
    """Its money was taken or given back before, so nothing is set aside for another."""
    error = Reservation((share(state),)).objection(MODEL)
    assert isinstance(error, ConfigurationError)
    assert f"is {state} already" in str(error)


@pytest.mark.parametrize(
    ("one", "model"),
    [
        (share("held"), None),
        (share("held", on_soft="downgrade", downgrade_to=CHEAPER), CHEAPER),
        (share("held", "1.4", on_soft="downgrade", downgrade_to=CHEAPER, used_usd=Decimal("3.599999999")), None),
        (share("held", "0.1", on_soft="downgrade", downgrade_to=CHEAPER, used_usd=Decimal("3.6")), CHEAPER),
        (share("refused", "3", on_soft="downgrade", downgrade_to=CHEAPER, used_usd=Decimal("3.4")), CHEAPER),
        (share("refused", on_hard="downgrade", downgrade_to=CHEAPER), CHEAPER),
        (share("refused", on_soft="warn", downgrade_to=CHEAPER), None),
    ],
)
def test_the_cheaper_model_is_asked_for_at_the_limit_that_says_so(one: Share, model: str | None) -> None:
    """The soft limit counts what is spent and set aside, not the most this call can cost: 80 % of 6 dollars is 4.80."""
    assert model == Reservation((share("held"), one)).cheaper_than(())


def test_the_first_call_of_a_day_is_not_downgraded() -> None:
    """Eight dollars are the most that it can cost, and it will cost a few cents."""
    whole = share("held", "8", on_soft="downgrade", downgrade_to=CHEAPER, limit_usd=Decimal(10), credit_usd=Decimal(0))
    unspent = replace(whole, standing=replace(whole.standing, used_usd=Decimal(0), reserved_usd=Decimal(0)))

    assert Reservation((unspent,)).cheaper_than(()) is None


def test_budgets_are_asked_in_turn_for_a_model_that_changes_something() -> None:
    """Those without room first; the model that is asked, or was replaced, is none."""
    soft = [share("held", on_soft="downgrade", downgrade_to=model) for model in (MODEL, CHEAPER)]
    refused = share("refused", on_hard="downgrade", downgrade_to="openai:gpt-5-mini")
    reservation = Reservation((*soft, refused))

    assert "openai:gpt-5-mini" == reservation.cheaper_than({MODEL})
    assert CHEAPER == reservation.cheaper_than({MODEL, "openai:gpt-5-mini"})
    assert reservation.cheaper_than({MODEL, CHEAPER, "openai:gpt-5-mini"}) is None


def test_crossings_name_their_budget() -> None:
    """One for each threshold."""
    crossed = replace(share("settled"), crossed=(Decimal("0.8"), Decimal(1)))
    assert [Decimal("0.8"), Decimal(1)] == [one.threshold for one in Reservation((crossed,)).crossings]


def test_a_call_has_the_subjects_it_is_booked_to() -> None:
    """The root flow run is what a run's cap is for; what is unknown limits nothing."""
    who = Attribution(user="alice", workflow="nightly", flow_run_id="child", root_flow_run_id="root")
    expected = {"tenant": "acme", "user": "alice", "workflow": "nightly", "model": MODEL, "flow_run": "root"}
    assert expected == subjects_of("acme", who, MODEL)
    assert "child" == subjects_of("acme", replace(who, root_flow_run_id=None), MODEL)["flow_run"]


@pytest.mark.parametrize(
    "fields", [{"estimate_usd": 0.1}, {"estimate_usd": Decimal(-1)}, {"lease": timedelta(0)}], ids=str
)
def test_a_claim_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    """A float, money below zero, or a lease that has ended."""
    claim = Claim(attempt=CallAttempt(UUID(int=1)), subjects={}, estimate_usd=None, holder="here")
    with pytest.raises(ConfigurationError):
        replace(claim, **fields)
