"""The scheduled flows on a Prefect server: each may run twice, and leaves an artifact that people can read."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from sqlalchemy import NullPool, create_engine, text

from cognition import Attribution
from cognition.domain.pricing import dollars
from cognition.errors import CognitionError
from cognition.testing import FakeOpenAI, Reply, Usage
from cognition_blocks import CachedLLM
from cognition_flows.reports import report_costs, report_hit_rate
from cognition_flows.upkeep import Keep, maintain_store
from cognition_flows.warming import WarmLimits, WarmSource, warm_cache
from tests.integration.engine.stage import wait_until

COST = Decimal("0.00045")  # of 1000 tokens in and 100 out
PROMPT = "a-prompt-that-nobody-may-see"


@pytest.fixture
def saved(llm: CachedLLM, provider: FakeOpenAI) -> str:
    """Return the name of a block document, whose provider answers at a known price."""
    provider.default = Reply(text="It depends.", usage=Usage(1000, 100))
    name = f"scheduled-{uuid4().hex}"
    llm.save(name)
    return name


@pytest.fixture
def sql(llm: CachedLLM) -> Callable[[str], list[Any]]:
    """Return a function that runs a statement on the store."""
    assert llm.store is not None
    assert llm.store.database_url is not None
    engine = create_engine(llm.store.database_url.get_secret_value(), poolclass=NullPool)

    def run(statement: str) -> list[Any]:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return list(result) if result.returns_rows else []

    return run


def artifacts(key: str) -> list[str]:
    """Return what stands under a key, the newest first."""
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        found = client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC)
        return [str(artifact.data) for artifact in found]


def pictures(markdown: str) -> list[ET.Element]:
    """Return the pictures of a text, as the UI would draw them; fails where one is no SVG."""
    found = re.findall(r"!\[[^\]]+\]\(data:image/svg\+xml;base64,([^)]+)\)", markdown)
    return [ET.fromstring(base64.b64decode(drawn)) for drawn in found]  # noqa: S314  our own


def words(drawn: ET.Element) -> list[str]:
    """Return what is written in a picture."""
    return [str(element.text) for element in drawn if element.tag.endswith("text")]


def test_warm_cache_asks_once(llm: CachedLLM, saved: str, provider: FakeOpenAI, tmp_path: Path) -> None:
    """From a list and a file; then each is a hit for the block, and a doubled run has nothing to do."""
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps({"prompt": f"{PROMPT} 2"}), encoding="utf-8")
    source = WarmSource(prompts=[f"{PROMPT} 1"], file=path)

    first, second = (warm_cache(saved, source) for _ in range(2))

    assert (2, f"{2 * COST:.9f}", None) == (first["asked"], first["cost_usd"], first["stopped"])
    assert (0, 2) == (second["asked"], provider.count)
    assert ["l1", "l1"] == [str(llm.complete(f"{PROMPT} {number}").layer) for number in (1, 2)]
    newest, before = artifacts("cognition-warmed")[:2]
    assert "| left: cached, and not about to expire | 2 |" in newest
    assert "| asked | 2 |" in before
    assert PROMPT not in newest + before
    assert {"cognition-warm-cache"} == {line.group["workflow"] for line in llm.engine.ledger.report()} - {None}


def test_warm_cache_takes_what_is_asked_often(llm: CachedLLM, saved: str, provider: FakeOpenAI) -> None:
    """Without a list; what has no text in the semantic layer is told, and the run completes."""
    for _ in range(2):
        llm.complete("Asked twice?")
    llm.engine.ledger.flush()
    done = warm_cache(saved)
    assert (0, 1) == (done["asked"], provider.count)
    assert "its prompt is kept nowhere" in artifacts("cognition-warmed")[0]


def test_warm_cache_ends_at_its_limit(saved: str, provider: FakeOpenAI) -> None:
    """The run completes and says so."""
    done = warm_cache(
        saved, WarmSource(prompts=["a", "b", "c"]), WarmLimits(max_cost_usd=Decimal("0.0005"), concurrency=1)
    )
    assert (1, 1) == (done["asked"], provider.count)
    assert "**Stopped:** the next call might exceed the limit of $0.0005." in artifacts("cognition-warmed")[0]


def test_the_costs_of_yesterday(llm: CachedLLM, saved: str, sql: Callable[[str], list[Any]]) -> None:
    """The total is the ledger's to the last digit, whoever runs it how often; tables are for drilling down."""
    for number in range(3):
        llm.complete(f"{PROMPT} {number}", attribution=Attribution(user=f"user-{number}", workflow="nightly"))
    llm.engine.ledger.flush()
    sql("UPDATE llm_cost_tracking SET created_at = created_at - interval '1 day'")
    llm.complete("Today's?")

    first, second = (report_costs(llm=saved) for _ in range(2))

    ((total,),) = sql("SELECT sum(cost_usd) FROM llm_cost_tracking WHERE created_at < now() - interval '23 hours'")
    assert (3, str(total), first) == (first["calls"], first["cost_usd"], second)
    report, again = artifacts("cognition-costs")[:2]
    assert f"cost: {dollars(total)}" in report
    assert report == again
    assert "| nightly | 3 |" in report
    daily, workflows = pictures(report)
    assert (30, ["nightly", dollars(total)]) == (len(daily), words(workflows))
    rows = json.loads(artifacts("cognition-costs-by-user")[0])
    assert {"user-0", "user-1", "user-2"} == {row["user"] for row in rows}
    assert total == sum(Decimal(row["cost_usd"]) for row in rows)
    assert PROMPT not in report


def test_hit_rates(llm: CachedLLM, saved: str) -> None:
    """By layer, with a picture and a table of look-ups."""
    for _ in range(4):
        llm.complete(PROMPT, namespace="triage", attribution=Attribution(workflow="nightly"))
    llm.engine.ledger.flush()
    done = report_hit_rate(llm=saved)

    assert (4, 3, 0.75, None) == (done["calls"], done["hits"], done["hit_rate"], done["hit_rate_before"])
    text = artifacts("cognition-hit-rate")[0]
    assert "| l1 | 4 | 75.0% | new |" in text
    assert "| nightly | 4 | 75.0% |" in text
    assert ["l1", "75.0%", "l2", "0.0%"] == words(pictures(text)[0])
    assert {"triage"} == {row["value"] for row in json.loads(artifacts("cognition-hit-rate-look-ups")[0])} - {
        None,
        "openai-chat:gpt-5-mini",
    }
    assert PROMPT not in text


def test_the_store_is_maintained(llm: CachedLLM, saved: str, sql: Callable[[str], list[Any]]) -> None:
    """What has expired goes, what has not stays, and a second run finds nothing to do."""
    for number in range(3):
        llm.complete(f"{PROMPT} {number}")
    wait_until(lambda: [(3,)] == sql("SELECT count(*) FROM llm_cache"))  # callers do not wait for that
    sql("UPDATE llm_cache SET expires_at = now() - interval '1 day' WHERE ctid IN (SELECT ctid FROM llm_cache LIMIT 2)")

    first, second = (maintain_store(llm=saved) for _ in range(2))

    assert [2, 0] == [done["expired answers deleted"] for done in (first, second)]
    assert [(1,)] == sql("SELECT count(*) FROM llm_cache")
    text = artifacts("cognition-store")[0]
    assert "| llm_cache | " in text
    assert "### What a person should do" in text


def test_old_ledger_rows_are_added_up_and_deleted(llm: CachedLLM, saved: str, sql: Callable[[str], list[Any]]) -> None:
    """Only when a time is given; the report of everything is the same before and after."""
    for number in range(3):
        llm.complete(f"{PROMPT} {number}")
    llm.engine.ledger.flush()
    sql("UPDATE llm_cost_tracking SET created_at = created_at - interval '100 days'")
    before = llm.engine.reports.costs(["workflow", "model", "day"])

    done = [maintain_store(keep, saved) for keep in (Keep(), Keep(ledger_days=93), Keep(ledger_days=93))]

    assert [0, 3, 0] == [one["old ledger rows added up and deleted"] for one in done]
    assert [(0,)] == sql("SELECT count(*) FROM llm_cost_tracking")
    assert before == llm.engine.reports.costs(["workflow", "model", "day"])


def test_a_bulk_load_gets_its_index(
    llm: CachedLLM, sql: Callable[[str], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Advised until it is asked for, and built once; the run says how prompts are found now."""
    assert llm.store is not None
    embedding = llm.store.model_copy(update={"embedder": "local:all-minilm-l6-v2"})
    name = f"bulk-{uuid4().hex}"
    llm.model_copy(update={"store": embedding}).save(name)
    monkeypatch.setattr("cognition.domain.upkeep.BULK_ROWS", 500)
    sql("DROP INDEX ix_llm_semantic_cache_embedding_384")  # as of an embedder whose vectors have another length
    sql(
        "INSERT INTO llm_semantic_cache (tenant, namespace, scope_key, key, embedder_fingerprint, embedding, prompt,"
        " prompt_hash, model, provider, requested_model, payload, payload_bytes, generation, request_id, expires_at)"
        " SELECT 'default', 'n', sha256('s'), sha256(i::text::bytea), 'e', array_fill(i, ARRAY[384])::halfvec, '\\x00',"
        " sha256('p'), 'm', 'p', 'm', '\\x00', 1, 1, gen_random_uuid(), now() + interval '1 day'"
        " FROM generate_series(1, 500) AS i"
    )

    done = [maintain_store(Keep(reembed=0), name, build_index=build) for build in (False, True, True)]

    assert [0, 1, 0] == [one["vector indexes built"] for one in done]
    last, _, first = artifacts("cognition-store")[:3]
    advised = "cognition cache build-index, or maintain_store with build_index; 500 vectors of 384 dimensions"
    assert (True, False) == (advised in first, advised in last)
    assert [("{lists=1}",)] == sql(
        "SELECT reloptions::text FROM pg_class WHERE relname = 'ix_llm_semantic_cache_ivfflat_384'"
    )


def test_a_step_that_cannot_be_done_fails_the_run(saved: str, sql: Callable[[str], list[Any]]) -> None:
    """After the others have done their work; an error that would come again is not tried again."""
    maintain_store(llm=saved)
    sql("ALTER TABLE circuit_breaker_history RENAME TO elsewhere")
    sql("UPDATE llm_cache SET expires_at = now() - interval '1 day'")

    with pytest.raises(CognitionError, match="cognition db upgrade"):
        maintain_store(llm=saved)

    assert "| expired answers deleted |" in artifacts("cognition-store")[0]
    assert "| old changes of breakers deleted |" not in artifacts("cognition-store")[0]
