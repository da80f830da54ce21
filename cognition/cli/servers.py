"""The commands `cognition up`, `down` and `status`: the embedded servers of this machine."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from cognition.adapters import embedded
from cognition.adapters.embedded import ServerStatus

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def up(json_output: AsJson = False) -> None:
    """Start the embedded PostgreSQL and Valkey, if they do not run, and print their URLs."""
    servers = embedded.ensure_running()
    if json_output:
        _print_json(asdict(servers))
    else:
        typer.echo(f"COGNITION_DATABASE_URL={servers.database_url}")
        typer.echo(f"COGNITION_REDIS_URL={servers.redis_url or ''}")


def down(json_output: AsJson = False) -> None:
    """Stop them; their data stays."""
    stopped = embedded.stop()
    if json_output:
        _print_json({"stopped": stopped})
    else:
        typer.echo(f"Stopped {' and '.join(stopped)}." if stopped else "Nothing ran.")


def status(json_output: AsJson = False) -> None:
    """Say what runs where."""
    servers = embedded.status()
    if json_output:
        _print_json({"servers": [asdict(server) for server in servers]})
    else:
        for server in servers:
            typer.echo(_describe(server))


def _describe(server: ServerStatus) -> str:
    megabytes = server.data_bytes / 1e6
    if not server.running:
        return f"{server.name} does not run; data: {server.data_folder} ({megabytes:.0f} MB)"
    return (
        f"{server.name} {server.version} runs for {server.uptime_seconds} s as process {server.pid}\n"
        f"  socket: {server.socket}\n"
        f"  data:   {server.data_folder} ({megabytes:.0f} MB)"
    )


def _print_json(content: dict[str, object]) -> None:
    typer.echo(json.dumps(content, default=str))
