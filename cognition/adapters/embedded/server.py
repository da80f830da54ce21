"""What the life cycle needs to know of a server; the same few things of each."""

import signal
from pathlib import Path
from typing import Protocol

from cognition.adapters.embedded.account import Account


class Server(Protocol):
    """One embedded server of one home, running or not."""

    @property
    def name(self) -> str:
        """`postgresql` or `valkey`."""
        ...

    @property
    def process_name(self) -> str:
        """Name of its processes."""
        ...

    @property
    def data(self) -> Path:
        """Where its data is, and the working directory of its processes."""
        ...

    @property
    def socket(self) -> Path:
        """Where it listens."""
        ...

    @property
    def url(self) -> str:
        """What clients connect to."""
        ...

    @property
    def stop_signal(self) -> signal.Signals:
        """Asks it to stop without waiting for its clients."""
        ...

    def program(self, account: Account) -> Path:
        """Return the server program, runnable by the account."""
        ...

    def prepare(self, account: Account) -> None:
        """Make the data folder, if this is the first start."""
        ...

    def arguments(self) -> list[str]:
        """Return the arguments of the program."""
        ...

    def environment(self) -> dict[str, str]:
        """Return what its environment needs beyond ours."""
        ...

    def is_ready(self) -> bool:
        """Return whether it answers requests now."""
        ...
