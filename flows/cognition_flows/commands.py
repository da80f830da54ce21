"""Commands that need Prefect, found by `cognition` through the entry points `cognition.commands`.

Prefect is imported when a command runs, not when the command line lists its commands: that takes seconds.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cognition.cli.output import AsJson

_PREFECT = {
    # What goes wrong is said in one sentence at the end.
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    # The temporary server is stopped while it still writes down what the tasks did, and complains of it.
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    # As many as the local model answers at a time: a call that only waits there would run out of time.
    "PREFECT_TASK_RUNNER_THREAD_POOL_MAX_WORKERS": "4",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # On a small machine the first start of a temporary server takes longer than Prefect's default of 20 seconds.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
}

Model = Annotated[str | None, typer.Option(help="Any model, as provider:model, its key in the environment.")]
Source = Annotated[Path | None, typer.Option("--input", help="A text, CSV or JSONL file instead of packages.")]
Count = Annotated[int, typer.Option(help="How many texts at most.", min=1, max=1000)]


def demo(model: Model = None, source: Source = None, count: Count = 8, json_output: AsJson = False) -> None:
    """Summarise and classify real texts in a Prefect flow, four times, and print what was cached, paid and saved."""
    for name, value in _PREFECT.items():
        os.environ.setdefault(name, value)
    from cognition_flows.demo import print_demo, run_demo  # noqa: PLC0415  see the module docstring

    print_demo(run_demo(model, source, count, quiet=json_output), as_json=json_output)
