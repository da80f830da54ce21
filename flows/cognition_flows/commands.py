"""Commands that need Prefect, found by `cognition` through the entry points `cognition.commands`.

Prefect is imported when a command runs, not when the command line lists its commands: that takes seconds.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from cognition.cli.options import command_of
from cognition.cli.output import AsJson, print_json
from cognition.errors import ConfigurationError

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


Timezone = Annotated[str, typer.Option(help="Whose midnights and clocks count, such as Europe/Berlin.")]
Pool = Annotated[str | None, typer.Option(help="The work pool.", envvar="COGNITION_WORK_POOL")]
Image = Annotated[str | None, typer.Option(help="For Docker and Kubernetes pools: an image with the wheel in it.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploying:
    """The options of `deploy`."""

    pool: Pool = None
    timezone: Timezone = "UTC"
    image: Image = None
    automations: Annotated[
        bool, typer.Option("--automations", help="Also pause what has spent its budget; warm after invalidations.")
    ] = False
    notify: Annotated[
        str | None, typer.Option(help="With --automations: the block that tells people, such as slack-webhook/ops.")
    ] = None
    json_output: AsJson = False


def deploy_flows(wanted: Deploying) -> None:
    """Deploy the scheduled flows to a work pool; run it again after an update of this package.

    It does what `prefect deploy --all` does beside a prefect.yaml, from the installed wheel alone.
    """
    _quietly()
    from cognition_flows.automations import set_up_automations  # noqa: PLC0415  see the module docstring
    from cognition_flows.deploying import deploy as deploy_all  # noqa: PLC0415  see above

    if wanted.notify is not None and not wanted.automations:
        raise ConfigurationError("--notify names the block of an automation; add --automations.")
    done = deploy_all(wanted.pool, wanted.timezone, {} if wanted.image is None else {"image": wanted.image})
    told = set_up_automations(wanted.notify) if wanted.automations else []
    if wanted.json_output:
        deployments, automations = [asdict(one) for one in done], [asdict(one) for one in told]
        # Without the option the answer is what it always was.
        print_json({"deployments": deployments, "automations": automations} if wanted.automations else deployments)
        return
    for one in done:
        typer.echo(f"{one.name}: {one.cron} ({wanted.timezone}){'' if one.active else ', off until you switch it on'}")
    for one in told:
        typer.echo(f"{one.name}: {one.done}")


deploy = command_of(Deploying, deploy_flows)


def serve(timezone: Timezone = "UTC") -> None:
    """Run the scheduled flows in this process, without a work pool, until it is stopped."""
    from cognition_flows.deploying import serve as serve_all  # noqa: PLC0415  see the module docstring

    serve_all(timezone)


def demo(model: Model = None, source: Source = None, count: Count = 8, json_output: AsJson = False) -> None:
    """Summarise and classify real texts in a Prefect flow, four times, and print what was cached, paid and saved."""
    _quietly()
    from cognition_flows.demo import print_demo, run_demo  # noqa: PLC0415  see the module docstring

    print_demo(run_demo(model, source, count, quiet=json_output), as_json=json_output)


def _quietly() -> None:
    """Set what Prefect reads when it is imported, unless the user has."""
    for name, value in _PREFECT.items():
        os.environ.setdefault(name, value)
