"""`warm_cache`: asks before anybody waits for the answer."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field

from cognition.adapters.prompt_file import read_wishes
from cognition.domain.pricing import dollars
from cognition.domain.warming import Warmed, WarmPlan, Wish
from cognition.services.markdown import table
from cognition_blocks.run_context import current_attribution
from cognition_flows.store import LLM, call_options, engine_of

ARTIFACT_KEY = "cognition-warmed"


class WarmSource(BaseModel):
    """What will be asked."""

    prompts: list[str] = Field(default=[], description="Prompts to ask, as they will be asked later.")
    file: Path | None = Field(
        default=None, description="JSON lines or CSV on the worker: prompt, model, namespace, instructions, settings."
    )
    least: int | None = Field(
        default=None,
        ge=0,
        description="Leave what was asked less often; empty means twice where the ledger says what, else never.",
    )
    hours: float = Field(default=24, gt=0, description="How far to look back in the ledger.")
    limit: int = Field(default=1000, ge=1, description="At most so many prompts.")


class WarmLimits(BaseModel):
    """How far warming may go."""

    max_cost_usd: Decimal | None = Field(default=Decimal(1), ge=0, description="No more US dollars a run than this.")
    ahead_minutes: float = Field(default=15, ge=0, description="Ask anew for what expires sooner.")
    concurrency: int = Field(default=4, ge=1, description="Calls side by side; live traffic needs places as well.")


@flow(name="cognition-warm-cache", flow_run_name="warm-cache")
def warm_cache(
    llm: LLM = None,
    source: WarmSource = WarmSource(),  # noqa: B008  Prefect reads the form from it, and nobody changes it
    limits: WarmLimits = WarmLimits(),  # noqa: B008  see above
) -> dict[str, Any]:
    """Ask for what is missing or about to expire: from a list, a file, or what the ledger has seen most often.

    Run twice or late it asks for what is missing then. Budgets, breakers and bulkheads hold as for every call; a spent
    budget ends the run, it does not fail it.

    Args:
        llm: Name of a Cached LLM block: its store, model, credentials, namespace and instructions.
        source: What will be asked; neither a list nor a file means the ledger's most frequent requests.
        limits: How far to go.
    """
    done = warm(llm, source, limits)
    log = get_run_logger()
    (log.warning if done.stopped else log.info)(done.sentence)
    create_markdown_artifact(_markdown(done), key=ARTIFACT_KEY, description=done.sentence)
    return {"asked": done.asked, "cost_usd": f"{done.cost_usd:f}", "stopped": done.stopped}


# One start only: a second one would have the whole cost limit again.
@task(name="warm", cache_policy=NO_CACHE, persist_result=False)
def warm(llm: str | None, source: WarmSource, limits: WarmLimits) -> Warmed:
    """Warm the cache."""
    engine, options = engine_of(llm), call_options(llm)
    options["attribution"] = current_attribution()
    plan = WarmPlan(
        max_cost_usd=limits.max_cost_usd,
        ahead=timedelta(minutes=limits.ahead_minutes),
        concurrency=limits.concurrency,
    )
    window = timedelta(hours=source.hours)
    wishes = [Wish(prompt) for prompt in source.prompts]
    if source.file is not None:
        wishes += read_wishes(source.file, source.limit)
    if wishes:
        return engine.warming.wishes(wishes[: source.limit], plan, least=source.least or 0, window=window, **options)
    # Namespace and model are those of the ledger.
    options = {name: value for name, value in options.items() if name not in {"namespace", "model"}}
    least = 2 if source.least is None else source.least
    return engine.warming.frequent(plan, least=least, window=window, limit=source.limit, **options)


def _markdown(done: Warmed) -> str:
    figures = asdict(done)
    rows = [[name.replace("_", " "), f"{figures[name]:,}"] for name in ("wishes", "asked", "refreshed", "shared")]
    rows += [["answers that may not be cached", f"{done.unkept:,}"], ["cost", dollars(done.cost_usd)]]
    rows += [[f"left: {reason}", f"{count:,}"] for reason, count in done.skipped.items()]
    rows += [[f"failed: {error}", f"{count:,}"] for error, count in done.failed.items()]
    stopped = f"\n\n**Stopped:** {done.stopped}." if done.stopped else ""
    return f"{table(('prompts', 'count'), rows)}{stopped}\n"
