"""`cognition exporter` over real stores: what a scrape sees, and that it ends when it is told to."""

from __future__ import annotations

import json
import signal
from decimal import Decimal
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from cognition import Attribution, Budget, Cognition, Credentials, Settings
from cognition.testing import FakeOpenAI, Fault, Reply, Usage
from tests.command_line import exporter_process, refusal, run

MODEL = "openai-chat:gpt-5-mini"
COST = Decimal("0.00045")  # 1000 tokens in and 100 out, at the public price of $0.25 and $2.00 a million


@pytest.fixture
def used(database_url: str, redis_url: str) -> dict[str, str]:
    """Return the variables of a store in which a question was asked twice, another one failed, and a budget counts."""
    settings = Settings(database_url=SecretStr(database_url), redis_url=SecretStr(redis_url), model=MODEL)
    nightly = Attribution(workflow="nightly", user="alice")
    with (
        FakeOpenAI(default=Reply(text="It depends.", usage=Usage(1000, 100))) as provider,
        Cognition.open(settings) as engine,
    ):
        engine.budgets.set(Budget(scope="workflow", subject="nightly", limit_usd="5.00", period="daily"))
        known = Credentials(api_key="any", base_url=provider.base_url)
        for _ in range(2):
            engine.complete("Why?", attribution=nightly, credentials=known)
        provider.script(Fault(status=400))
        with pytest.raises(Exception, match="400"):
            engine.complete("When?", attribution=nightly, credentials=known)
    return {"COGNITION_DATABASE_URL": database_url, "COGNITION_REDIS_URL": redis_url}


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return the figures of a scrape by name and values of labels."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_scrape_sees_what_all_processes_did(used: dict[str, str]) -> None:
    """Served over HTTP by a process that was told nothing but the URLs, and that ends without an error."""
    with exporter_process(used) as (process, address):
        with urlopen(address, timeout=30) as answer:  # noqa: S310  loopback
            told = samples(answer.read().decode())
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(timeout=30)

    # Their labels are sorted by name: budget_id, period, scope, subject.
    budgets = {labels[2:]: value for labels, value in told.items() if labels[0] == "cognition_budget_used_usd"}
    assert 1 == told["cognition_collect_success",]
    hits, misses = (told["cognition_cache_lookups_total", "l1", MODEL, end] for end in ("hit", "miss"))
    assert (1, 2) == (hits, misses)
    assert (1, 1) == tuple(told["cognition_attempts_total", MODEL, end] for end in ("answered", "failed"))
    assert (
        float(COST) == told["cognition_cost_usd_total", MODEL] == told["cognition_cache_saved_usd_total", "l1", MODEL]
    )
    assert float(COST) == budgets["daily", "workflow", "nightly"]
    assert not [labels for labels in told if "alice" in labels]


def test_metrics_can_be_printed_once(used: dict[str, str]) -> None:
    """For people, for a text file collector, and for machines without a rounding."""
    assert float(COST) == samples(run(used, "exporter", "--once").stdout)["cognition_cost_usd_total", MODEL]
    told = json.loads(run(used, "exporter", "--json").stdout)
    (cost,) = [one["value"] for one in told if one["name"] == "cognition_cost_usd_total"]
    assert COST == Decimal(cost)


def test_a_port_that_is_taken_is_one_sentence(used: dict[str, str]) -> None:
    """The second exporter says so and ends."""
    with exporter_process(used) as (_, address):
        port = address.rpartition(":")[2].partition("/")[0]
        assert "choose another --host or --port" in refusal(used, "exporter", "--port", port)
