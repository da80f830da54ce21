"""What runs, in one file that every process reads: written by whoever starts the servers, removed before they stop."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from cognition.adapters.embedded.home import Home

_FORMAT = 1


@dataclass(frozen=True)
class RunningServer:
    """A server that was ready when this was written.

    There is no process id: ids are used again, so only the socket can tell whether the server still runs.

    Attributes:
        name: `postgresql` or `valkey`.
        url: What clients connect to.
        socket: Where it listens. Inside the home, unless that path would be too long.
        version: As the program reports it.
    """

    name: str
    url: str
    socket: Path
    version: str


@dataclass(frozen=True)
class ServerStatus:
    """What `cognition status` tells of a server.

    Attributes:
        name: `postgresql` or `valkey`.
        running: Whether it answers on its socket.
        pid: Process id; None when it does not run.
        version: Version of the running program; None when it does not run.
        socket: Where it listens, or would.
        data_folder: Where its data is, or would be.
        data_bytes: Size of that folder.
        uptime_seconds: Since its process started; None when it does not run.
    """

    name: str
    running: bool
    pid: int | None
    version: str | None
    socket: Path
    data_folder: Path
    data_bytes: int
    uptime_seconds: int | None


def read(home: Home) -> list[RunningServer]:
    """Return what the file says; nothing if there is none, it is not ours, or it cannot be understood."""
    try:
        with home.state_file.open(encoding="utf-8") as file:
            # Somebody else's file could send our prompts to somebody else's server.
            if os.fstat(file.fileno()).st_uid != os.geteuid():
                return []
            content = json.load(file)
        if content["format"] != _FORMAT:
            return []
        return [
            RunningServer(found["name"], found["url"], Path(found["socket"]), found["version"])
            for found in content["servers"]
        ]
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return []


def write(home: Home, servers: list[RunningServer]) -> None:
    """Replace the file in one step, so that no reader sees half of it."""
    content = {"format": _FORMAT, "servers": [asdict(server) | {"socket": str(server.socket)} for server in servers]}
    fresh = home.state_file.with_suffix(".new")
    fresh.write_text(json.dumps(content, indent=2), encoding="utf-8")
    fresh.chmod(0o600)
    fresh.replace(home.state_file)


def clear(home: Home) -> None:
    """Remove the file, so that nobody attaches to a server that starts or stops."""
    home.state_file.unlink(missing_ok=True)
