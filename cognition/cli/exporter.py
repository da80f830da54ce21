"""The command `cognition exporter`."""

from __future__ import annotations

import signal
from threading import Event
from types import FrameType
from typing import Annotated

import typer

from cognition.adapters.prometheus import samples_of, served, text_of
from cognition.cli.output import AsJson, print_json
from cognition.runtime import Cognition
from cognition.wiring import collector_of

Host = Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 for all of this machine.")]
Port = Annotated[int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)]
Once = Annotated[bool, typer.Option("--once", help="Print the metrics and end.")]

_LOOPBACK = "127.0.0.1"
_PORT = 9464  # where OpenTelemetry's exporters listen as well


def exporter(host: Host = _LOOPBACK, port: Port = _PORT, once: Once = False, json_output: AsJson = False) -> None:
    """Serve metrics for Prometheus until it is stopped; one exporter for each database and tenant is enough.

    They cover all processes and all flow runs: they are read from PostgreSQL whenever somebody scrapes. Only the spool,
    where costs wait while PostgreSQL is away, is this machine's.
    """
    with Cognition.open() as engine:
        collector = collector_of(engine.measure, engine.settings.tenant)
        if json_output:
            print_json(samples_of(collector))
        elif once:
            typer.echo(text_of(collector), nl=False)
        else:
            stopped = _stop_signal()
            with served(collector, host, port) as taken:
                typer.echo(f"Metrics are at http://{host}:{taken}/metrics until Ctrl+C.")
                stopped.wait()


def _stop_signal() -> Event:
    """Return what is set when somebody stops this process, which then closes its engine."""
    stopped = Event()

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        stopped.set()

    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, stop)
    return stopped
