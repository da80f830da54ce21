"""The commands `cognition up`, `down` and `status`: the embedded servers of this machine."""

from dataclasses import asdict

import typer

from cognition.adapters import embedded
from cognition.adapters.embedded import ServerStatus
from cognition.cli.output import AsJson, print_json


def up(json_output: AsJson = False) -> None:
    """Start the embedded PostgreSQL and Valkey, if they do not run, and print their URLs."""
    servers = embedded.ensure_running()
    if json_output:
        print_json(asdict(servers))
    else:
        typer.echo(f"COGNITION_DATABASE_URL={servers.database_url}")
        typer.echo(f"COGNITION_REDIS_URL={servers.redis_url or ''}")


def down(json_output: AsJson = False) -> None:
    """Stop them; their data stays."""
    stopped = embedded.stop()
    if json_output:
        print_json({"stopped": stopped})
    else:
        typer.echo(f"Stopped {' and '.join(stopped)}." if stopped else "Nothing ran.")


def status(json_output: AsJson = False) -> None:
    """Say what runs where."""
    servers = embedded.status()
    if json_output:
        print_json({"servers": [asdict(server) for server in servers]})
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
