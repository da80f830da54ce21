"""Fills a Prefect server with what a team leaves there that has used this package for a while.

It runs in a process of its own, as the flows of users do: Prefect's worker for events keeps the first server that it
has met for the life of a process.
"""

from __future__ import annotations

import os
from typing import Any, Literal

import sqlalchemy as sa
from prefect import flow, get_client
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from pydantic import BaseModel, SecretStr

from cognition.errors import BudgetExceeded
from cognition.testing import FakeOpenAI, Reply, Usage
from cognition_blocks import CachedLLM, CognitionStore, LLMBudget, attribute, llm_task
from cognition_flows.automations import set_up_automations
from cognition_flows.budgets import reset_budgets
from cognition_flows.deploying import deploy
from cognition_flows.reports import report_costs, report_hit_rate
from cognition_flows.upkeep import maintain_store

API_KEY = "sk-ui-7d20c1f4"  # no key of anybody
POOL = "language-models"
USERS = (("alice", "support"), ("bob", "support"), ("carol", "research"))
TOPICS = ("a parcel", "a refund", "a password", "an invoice", "a discount", "a return", "an address", "a voucher")


class Triage(BaseModel):
    """Where a ticket goes."""

    department: Literal["shipping", "billing", "accounts"]
    urgent: bool


@llm_task(llm="support", output=Triage, namespace="triage")
def triage(ticket: str) -> str:
    """Return the prompt that asks for the department."""
    return f"Which department answers this ticket, and is it urgent?\n\n{ticket}"


@llm_task(llm="support-long", namespace="digest")
def digest(topic: str) -> str:
    """Return the prompt that asks for a digest."""
    return f"What did customers say about {topic} this week?"


@llm_task(llm="support", settings={"max_tokens": 6_000})
def ask(question: str) -> str:
    """Return the question."""
    return question


@flow(name="support-triage")
def support_triage(tickets: list[str], user: str, team: str) -> None:
    """Triage tickets."""
    with attribute(user=user, team=team):
        triage.map(tickets).result()


@flow(name="weekly-digest")
def weekly_digest(topics: list[str]) -> None:
    """Write a digest of each topic."""
    with attribute(user="carol", team="research"):
        digest.map(topics).result()


@flow(name="untamed-loop", flow_run_name="until the budget ends it")
def untamed_loop() -> str:
    """Ask until the budget ends it."""
    for number in range(100):
        try:
            ask(f"And what else? {number}")
        except BudgetExceeded as error:
            return str(error)
    return "nothing stopped it"


def save_blocks(provider: FakeOpenAI) -> CachedLLM:
    """Save a store, two models and a budget, as a user does in the UI."""
    store = CognitionStore(
        database_url=SecretStr(os.environ["SEED_DATABASE_URL"]), redis_url=SecretStr(os.environ["SEED_REDIS_URL"])
    )
    store.save("production", overwrite=True)
    kept = CognitionStore.load("production")
    assert isinstance(kept, CognitionStore)
    common: dict[str, Any] = {
        "api_key": SecretStr(API_KEY),
        "base_url": provider.base_url,
        "fallbacks": ["openai-chat:gpt-5-nano"],
        "store": kept,
    }
    llm = CachedLLM(model_name="openai-chat:gpt-5-mini", instructions="You work for the support of a shop.", **common)
    llm.save("support", overwrite=True)
    CachedLLM(model_name="openai-chat:gpt-5", max_tokens=2000, **common).save("support-long", overwrite=True)
    budget = LLMBudget(subject="untamed-loop", limit_usd="0.10", period="daily", on_hard="block", store=kept)
    budget.save("no-runaways", overwrite=True)
    budget.apply()
    LLMBudget(scope="user", limit_usd="5.00", period="monthly", store=kept).apply()
    LLMBudget(scope="team", subject="support", limit_usd="20.00", period="weekly", store=kept).apply()
    return llm


def spread_over_a_month(database_url: str) -> None:
    """Move the rows of the ledger into the last thirty days, the more of them the nearer."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE llm_cost_tracking AS ledger"
                " SET created_at = ledger.created_at - (1 + floor(29 * row.place * row.place)) * interval '1 day'"
                " FROM (SELECT call_key, attempt, (7 * row_number() OVER (ORDER BY created_at) % count(*) OVER ())"
                " / (count(*) OVER ())::float AS place FROM llm_cost_tracking) AS row"
                " WHERE (ledger.call_key, ledger.attempt) = (row.call_key, row.attempt)"
            )
        )


def main() -> None:
    """Fill the server that `PREFECT_API_URL` names."""
    reply = Reply(usage=Usage(40_000, 6_000))
    with FakeOpenAI(api_key=API_KEY, default=reply) as provider:
        llm = save_blocks(provider)
        for week in range(2):
            runs = f"week {week + 1}"
            weekly_digest.with_options(flow_run_name=runs)([f"{topic} {week}" for topic in TOPICS])
            for user, team in USERS:
                tickets = [f"Where is {topic}? {week}" for topic in TOPICS]
                support_triage.with_options(flow_run_name=f"{runs}, {user}")(tickets, user, team)
            if week == 0:
                llm.engine.ledger.flush()
                spread_over_a_month(os.environ["SEED_DATABASE_URL"])
        untamed_loop()
        llm.engine.ledger.flush()
        reset_budgets("Europe/Berlin", llm="support")
        report_costs(llm="support")
        report_hit_rate(llm="support")
        maintain_store(llm="support")
        with get_client(sync_client=True) as client:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"), overwrite=True)
        deploy(POOL, "Europe/Berlin", {})
        # Nothing is near a limit any more, so that nothing is sent to where nobody listens.
        hook = {"name": "ops", "url": "http://127.0.0.1:9/"}
        CustomWebhookNotificationBlock.model_validate(hook).save("ops")
        set_up_automations("custom-webhook/ops")
        llm.engine.close()


if __name__ == "__main__":
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        main()
