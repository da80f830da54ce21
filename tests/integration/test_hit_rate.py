"""The report on hit rates says what a recomputation from raw rows says."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from cognition.adapters.postgres.ledger import PostgresLedger
from cognition.adapters.postgres.pairs import PostgresPairs
from cognition.adapters.postgres.report_store import PostgresReports
from cognition.adapters.providers import GenaiPrices
from cognition.cli import app
from cognition.domain.attribution import Attribution
from cognition.domain.entry import Layer
from cognition.domain.error_bound import error_bound
from cognition.domain.hit_rate import Counts, HitRates
from cognition.domain.ledger import CountKey, LedgerBatch, LookUpCounts
from cognition.domain.pricing import Cost
from cognition.domain.semantic import Label, Pair
from cognition.domain.semantic_policy import SemanticPolicy
from cognition.errors import ConfigurationError
from cognition.services.hit_rate import HitRateParts, hit_rates
from cognition.services.hit_rate_output import as_json, markdown, points
from cognition.testing import FakeClock
from cognition.testing.contracts.samples import MODEL, NOON, a_row, an_address

DAY = timedelta(days=1)
LOCAL = "local:all-minilm-l6-v2@abc/384/unit"
PAID = "openai:text-embedding-3-small@-/1536/unit"
NOTHING = Cost(usd=Decimal(0), source="cache", version="")
VECTOR = """
INSERT INTO semantic_vector (tenant, embedder_fingerprint, text_hash, embedding, used_at)
VALUES ('acme', :embedder, sha256(:text ::bytea), '[1]', :at)
"""
KEPT = """
INSERT INTO llm_semantic_cache (tenant, namespace, scope_key, key, embedder_fingerprint, embedding, prompt, prompt_hash,
    model, provider, requested_model, payload, payload_bytes, generation, request_id, expires_at)
VALUES ('acme', 'n', '\\x00', sha256(:text ::bytea), :embedder, '[1]', :text ::bytea, '\\x00',
    'm', 'p', 'm', '\\x00', 1, 1, gen_random_uuid(), now())
"""


@pytest.fixture
def report(engine: Engine) -> Callable[..., HitRates]:
    """Return a function that makes the report of the last day at noon."""

    def make(window: timedelta = DAY, **policy: Any) -> HitRates:
        parts = HitRateParts(
            store=PostgresReports(engine),
            pairs=PostgresPairs(engine),
            prices=GenaiPrices({}),
            policy=SemanticPolicy(**policy),
            clock=FakeClock(NOON),
        )
        return hit_rates(parts, "acme", window, 3)

    return make


@pytest.fixture
def used(engine: Engine) -> dict[CountKey, LookUpCounts]:
    """Return the look-ups of four days in two namespaces and with two models, and write a ledger beside them."""
    draw = random.Random(3)  # noqa: S311  no secret
    counts = {
        CountKey(tenant, layer, namespace, model, NOON - timedelta(hours=7 * number)): LookUpCounts(
            hits=draw.randrange(50),
            misses=draw.randrange(50),
            refusals=draw.randrange(9) if layer is Layer.L3 else 0,
            stores=draw.randrange(9),
            saved_usd=Decimal(draw.randrange(10**9)).scaleb(-9),
        )
        for number in range(12)
        for tenant in ("acme", "umbrella")
        for layer in (Layer.L1, Layer.L2, Layer.L3)
        for namespace in ("triage", "support")
        for model in (MODEL, "ollama:qwen3")
    }
    rows = [
        a_row(
            "0.000000007",
            attribution=Attribution(workflow=draw.choice(["nightly", "hourly", None])),
            created_at=NOON - timedelta(minutes=draw.randrange(1, 3000)),
        )
        for _ in range(200)
    ]
    hits = [
        replace(row, layer=Layer.L2, status="cache_hit", attempt=0, cost=NOTHING, saved_usd=Decimal("0.01"))
        for row in rows[:120]
    ]
    PostgresLedger(engine).record(LedgerBatch(rows=[*hits, *rows[120:]], counts=counts))
    return counts


def _sum(counts: Iterable[LookUpCounts]) -> Counts:
    counts = list(counts)
    names = ("hits", "misses", "refusals", "corrupt", "stores")
    return Counts(
        **{name: sum(getattr(count, name) for count in counts) for name in names},
        saved_usd=sum((count.saved_usd for count in counts), Decimal(0)),
    )


def test_look_ups_are_those_of_the_rows(used: dict[CountKey, LookUpCounts], report: Callable[..., HitRates]) -> None:
    """By layer, namespace and model, in both windows, other tenants left out."""
    since, mine = NOON - DAY, {key: count for key, count in used.items() if key.tenant == "acme"}
    made = report().look_ups

    assert {"layer": 3, "namespace": 6, "model": 6} == {
        by: len(report().by(by)) for by in ("layer", "namespace", "model")
    }
    for one in made:
        of_line = {
            key: count
            for key, count in mine.items()
            if key.layer is one.layer and one.value in {None, getattr(key, one.by)}
        }
        assert _sum(count for key, count in of_line.items() if key.hour >= since) == one.counts
        assert _sum(count for key, count in of_line.items() if since - DAY <= key.hour < since) == one.before
        assert one.counts.hit_rate is not None
        assert one.before.hit_rate is not None
        assert one.counts.hit_rate - one.before.hit_rate == one.trend


@pytest.mark.usefixtures("used")
def test_workflows_are_those_of_the_ledger(engine: Engine, report: Callable[..., HitRates]) -> None:
    """Calls and hits of each, counted from rows."""
    query = "SELECT workflow_id, cache_hit FROM llm_cost_tracking WHERE created_at >= :since AND created_at < :until"
    made = report()
    with engine.connect() as connection:
        now, then = (
            list(connection.execute(text(query), {"since": NOON - days * DAY, "until": NOON - days * DAY + DAY}))
            for days in (1, 2)
        )

    assert {None, "nightly", "hourly"} == {one.workflow for one in made.workflows}
    for one in made.workflows:
        for rows, sums in ((now, one.sums), (then, one.before)):
            mine = [row for row in rows if row.workflow_id == one.workflow]
            assert (len(mine), sum(row.cache_hit for row in mine)) == (sums.calls, sums.hits)
    assert (len(now), sum(row.cache_hit for row in now)) == (made.total.calls, made.total.hits)
    assert (len(then), sum(row.cache_hit for row in then)) == (made.total_before.calls, made.total_before.hits)


def test_what_is_asked_again_and_again_comes_first(engine: Engine, report: Callable[..., HitRates]) -> None:
    """By the times the provider was asked; retries of one call are not times, and what was asked once is no miss."""
    keys = {times: an_address(f"question {times}").key for times in (1, 2, 3, 5)}
    rows = [a_row("0.5", request_key=key) for times, key in keys.items() for _ in range(times)]
    rows = [replace(row, created_at=NOON - timedelta(hours=1)) for row in rows]
    retried = [replace(rows[0], attempt=number, status="failed_billed") for number in (2, 3)]
    PostgresLedger(engine).record(LedgerBatch(rows=[*rows, *retried]))

    assert [(keys[times].hex(), times, Decimal("0.5") * times) for times in (5, 3, 2)] == [
        (one.key, one.calls, one.cost_usd) for one in report().misses
    ]


def test_refusals_name_namespace_and_model(used: dict[CountKey, LookUpCounts], report: Callable[..., HitRates]) -> None:
    """Most first."""
    expected: dict[tuple[str, str], int] = {}
    for key, count in used.items():
        if key.tenant == "acme" and key.layer is Layer.L3 and key.hour >= NOON - DAY:
            expected[key.namespace, key.model] = expected.get((key.namespace, key.model), 0) + count.refusals
    most = sorted(expected.values(), reverse=True)[:3]
    found = report().refusals
    assert most == [one.refusals for one in found]
    assert most == [expected[one.namespace, one.model] for one in found]


def test_precision_is_that_of_the_verdicts(engine: Engine, report: Callable[..., HitRates]) -> None:
    """Of those above the threshold, with the lower end of the exact interval."""
    pairs = PostgresPairs(engine)
    for number in range(40):
        pair = a_pair(number)
        score = 0.95 if number < 30 else 0.5
        pairs.judge(pair, Label(score=score, right=number % 10 != 0, source="shadow", at=NOON))

    (one,) = report(max_error=None).precision

    assert ("triage", LOCAL, 30, 3, "trusted") == (one.namespace, one.embedder, one.labels, one.wrong, one.basis)
    assert (0.9, 1 - error_bound(3, 30, 0.95)) == (one.precision, one.at_least)


def test_verdicts_that_close_a_namespace_are_shown(engine: Engine, report: Callable[..., HitRates]) -> None:
    """No threshold is left, which JSON cannot say with a number."""
    pairs = PostgresPairs(engine)
    for number in range(40):
        pairs.judge(a_pair(number), Label(score=1.0, right=False, source="judge", at=NOON))
    made = report()
    assert ("closed", 0.0) == (made.precision[0].basis, made.precision[0].precision)
    assert json.loads(json.dumps(as_json(made), allow_nan=False))["precision"][0]["threshold"] is None


@pytest.mark.parametrize(
    ("embedder", "cost"), [(LOCAL, Decimal(0)), (PAID, Decimal("0.000000100")), ("nobody:embed@-/3/unit", None)]
)
@pytest.mark.usefixtures("used")
def test_savings_are_net_of_embedding(
    engine: Engine, report: Callable[..., HitRates], embedder: str, cost: Decimal | None
) -> None:
    """A local embedder costs nothing; of another one, texts of 20 bytes are five tokens each at $0.02 a million."""
    with engine.connect() as connection:
        connection.execute(text(KEPT), {"embedder": embedder, "text": "x" * 21})
        connection.execute(text(VECTOR), {"embedder": embedder, "text": "new", "at": NOON - timedelta(hours=1)})
        connection.execute(text(VECTOR), {"embedder": embedder, "text": "old", "at": NOON - 2 * DAY})
    made = report()

    assert cost == made.embedding_usd
    assert (None if cost is None else made.total.saved_usd - cost) == made.net_usd
    assert 0 < made.total.saved_usd


@pytest.mark.usefixtures("used")
def test_people_read_markdown(report: Callable[..., HitRates]) -> None:
    """Each part is a table; a window without look-ups to compare with is new."""
    made = report()
    printed = markdown(made)
    assert printed.startswith(f"**From the cache: {made.total.hit_rate:.1%} of {made.total.calls} calls (")
    headings = [line[4:] for line in printed.splitlines() if line.startswith("###")]
    assert ["By layer", "By workflow", "By namespace", "By model"] == headings[:4]
    assert ["Asked again and again", "Refused most by the semantic layer"] == headings[4:]
    assert "| triage | l1 |" in printed
    assert ["new", "→ 0.0", "↑ 2.5", "↓ 10.0"] == [points(trend) for trend in (None, 0.0, 0.025, -0.1)]


def test_nothing_happened(report: Callable[..., HitRates]) -> None:
    """An empty database is a report of nothing, not an error."""
    made = report()
    assert ([], [], [], Decimal(0)) == (made.look_ups, made.workflows, made.misses, made.net_usd)
    assert "**From the cache: - of 0 calls (new points)" in markdown(made)


def test_less_than_an_hour_is_refused(report: Callable[..., HitRates]) -> None:
    """Nothing is counted by the minute."""
    with pytest.raises(ConfigurationError, match="an hour at least"):
        report(timedelta(minutes=59))


@pytest.mark.usefixtures("used")
def test_the_command_prints_it(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    """For people and machines; the window reaches back to when the rows were written."""
    for name, value in {"DATABASE_URL": database_url, "REDIS_URL": "memory://", "TENANT": "acme"}.items():
        monkeypatch.setenv(f"COGNITION_{name}", value)
    for_machines, for_people = (
        CliRunner().invoke(app, ["stats", "--format", kind, "--hours", "100000"]).stdout
        for kind in ("json", "markdown")
    )
    assert {"l1", "l2", "l3"} == {one["layer"] for one in json.loads(for_machines)["look_ups"]}
    assert "### By layer" in for_people


def a_pair(number: int) -> Pair:
    """Return a pair that was served."""
    return Pair(
        tenant="acme",
        namespace="triage",
        fingerprint=LOCAL,
        request_id=f"{number:032x}",
        asked_key=an_address("asked").key,
        cached_key=an_address("cached").key,
        asked_text="asked",
        cached_text="cached",
        similarity=0.99,
        score=0.99,
        served=True,
        at=NOON,
    )
