"""`maintain_store`: deletes what nobody needs, moves L3 to a new embedder, and says what a person should look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from prefect import State, flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from pydantic import BaseModel, Field

from cognition.domain.upkeep import LEDGER_DAYS_LEAST, TableHealth
from cognition.errors import CacheUnavailable
from cognition.services.markdown import table
from cognition_flows.budgets import purge_reservations
from cognition_flows.pictures import bars
from cognition_flows.store import LLM, engine_of, step

ARTIFACT_KEY: Final = "cognition-store"

_MEGABYTE: Final = 1_000_000
_BY: Final = "cognition-maintain-store"
_MOST_TOLD: Final = 20


class Keep(BaseModel):
    """How long things are kept that do not expire by themselves."""

    questions_days: float = Field(
        default=30, ge=1, description="Vectors and pairs of questions that nobody used; verdicts stay."
    )
    breaker_history_days: float = Field(default=90, ge=1, description="Changes of circuit breakers.")
    reservations_days: float = Field(
        default=30, ge=1, description="Ended reservations of budgets, which only kept repetitions harmless."
    )
    ledger_days: float | None = Field(
        default=None,
        ge=LEDGER_DAYS_LEAST,
        description="Rows of the ledger; afterwards only their sums, without runs. Empty keeps them for ever.",
    )
    reembed: int = Field(default=10_000, ge=0, description="Answers a run that are moved to a new embedder, at most.")


@flow(name="cognition-maintain-store", flow_run_name="maintain-store")
def maintain_store(
    keep: Keep = Keep(),  # noqa: B008  Prefect reads the form from it, and nobody changes it
    llm: LLM = None,
    *,
    repair_budgets: bool = False,
    build_index: bool = False,
) -> dict[str, int]:
    """Delete what is expired or old, re-embed, check what budgets count, and advise about the tables.

    Each step is idempotent and may run beside live traffic. One that fails does not keep the others from running; it
    fails the run in the end.

    Args:
        keep: How long things are kept.
        llm: Name of a Cached LLM block whose store is meant; empty means the worker's environment.
        repair_budgets: Whether budgets that count something else than the ledger says are adjusted, or only reported.
        build_index: Whether an IVFFlat index is built when a bulk load of similar prompts needs one, or only advised.
    """
    states: dict[str, State[int]] = {
        "expired answers deleted": purge_answers(llm, return_state=True),
        "old questions deleted": purge_questions(llm, keep.questions_days, return_state=True),
        "old changes of breakers deleted": purge_breaker_history(llm, keep.breaker_history_days, return_state=True),
        "answers moved to the present embedder": reembed(llm, keep.reembed, return_state=True),
        "vector indexes built": build_vector_index(llm, wanted=build_index, return_state=True),
        "old reservations deleted": purge_reservations(llm, keep.reservations_days, return_state=True),
        # After the reservations, without which their rows may go too.
        "old ledger rows added up and deleted": roll_up_ledger(llm, keep.ledger_days, return_state=True),
        _repaired(repair_budgets): reconcile_budgets(llm, repair=repair_budgets, return_state=True),
    }
    done = {what: state.result() for what, state in states.items() if state.is_completed()}
    tables, advice = look_at_tables(llm)
    create_markdown_artifact(_markdown(done, tables, advice), key=ARTIFACT_KEY, description="The store of LLM answers.")
    log = get_run_logger()
    for what, count in done.items():
        log.info("%s: %d", what, count)
    for one in advice:
        log.warning("A person should run: %s", one)
    for state in states.values():
        state.result()  # the first step that failed fails the run
    return done


@step("delete expired answers")
def purge_answers(llm: str | None) -> int:
    """Delete expired answers of L2 and L3; return how many."""
    return engine_of(llm).maintenance.purge_answers()


@step("delete old questions")
def purge_questions(llm: str | None, days: float) -> int:
    """Delete vectors and pairs that nobody has used for some days; return how many."""
    return engine_of(llm).maintenance.purge_questions(timedelta(days=days))


@step("delete old changes of breakers")
def purge_breaker_history(llm: str | None, days: float) -> int:
    """Delete changes of circuit breakers that are some days old; return how many."""
    return engine_of(llm).maintenance.purge_breaker_history(timedelta(days=days))


@step("move answers to the present embedder")
def reembed(llm: str | None, most: int) -> int:
    """Give answers that another embedder keeps a vector of the present one; return how many."""
    moved = engine_of(llm).maintenance.reembed(most) if most else None
    return 0 if moved is None else moved.moved


@step("build the index of a bulk load")
def build_vector_index(llm: str | None, *, wanted: bool) -> int:
    """Build an IVFFlat index if one is due, and say how vectors are searched now; return how many were built."""
    maintenance = engine_of(llm).maintenance
    built = maintenance.build_index() if wanted else None
    if wanted and (index := maintenance.vector_index()) is not None:
        get_run_logger().info("%s%s", f"Built {built}. " if built else "", index.standing)
    return 0 if built is None else 1


@step("add up and delete old ledger rows")
def roll_up_ledger(llm: str | None, days: float | None) -> int:
    """Delete ledger rows that are some days old, whose sums are kept; return how many."""
    return 0 if days is None else engine_of(llm).maintenance.roll_up_ledger(timedelta(days=days))


@step("reconcile budgets")
def reconcile_budgets(llm: str | None, *, repair: bool) -> int:
    """Compare what budgets count with the ledger, and say which differ; return how many."""
    drifts = engine_of(llm).budgets.reconcile(repair=repair, by=_BY, reason=f"{_BY}: the ledger says something else")
    for one in drifts[:_MOST_TOLD]:
        get_run_logger().warning(
            "The %s counts $%s too much by the ledger, where %d rows are missing.",
            one.name,
            f"{one.excess_usd:f}",
            one.missing_rows,
        )
    return len(drifts)


@step("look at the tables")
def look_at_tables(llm: str | None) -> tuple[Sequence[TableHealth], Sequence[str]]:
    """Return what the tables take, and what a person should do about them."""
    maintenance = engine_of(llm).maintenance
    tables = maintenance.tables()
    try:
        index = maintenance.vector_index()
    except CacheUnavailable as error:
        # An embedder that is away tells not how long its vectors are; the tables can be looked at all the same.
        get_run_logger().warning("How vectors are searched stays unknown: %s", error)
        index = None
    return tables, maintenance.advice(tables, index)


def _repaired(repair: bool) -> str:  # noqa: FBT001  a private function of one argument
    return "budgets adjusted to the ledger" if repair else "budgets that differ from the ledger"


def _markdown(done: Mapping[str, int], tables: Sequence[TableHealth], advice: Sequence[str]) -> str:
    counts = table(("step", "rows"), [[what, f"{count:,}"] for what, count in done.items()])
    sizes = bars(
        "Size on disk by table",
        [(one.name, one.total_bytes, f"{one.total_bytes / _MEGABYTE:,.1f} MB") for one in tables[:8]],
    )
    rows = [[one.name, *_figures(one)] for one in tables]
    todo = "\n".join(f"- `{one}`" for one in advice) or "Nothing: PostgreSQL keeps up."
    columns = ("table", "rows", "dead rows", "on disk", "of that indexes", "vacuumed")
    return f"{counts}\n\n### What a person should do\n\n{todo}\n\n### Tables\n\n{sizes}\n\n{table(columns, rows)}\n"


def _figures(one: TableHealth) -> list[Any]:
    sizes = [f"{size / _MEGABYTE:,.1f} MB" for size in (one.total_bytes, one.index_bytes)]
    return [f"{one.rows:,}", f"{one.dead_rows:,}", *sizes, f"{one.vacuumed_at:%Y-%m-%d}" if one.vacuumed_at else "-"]
