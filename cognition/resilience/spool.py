"""What keeping settlements on this machine needs, while the store of the ledger is away.

A port like those of `cognition.ports`, beside that of the budgets because what waits here is what could not be settled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from cognition.domain.settlement import Settlement, SpoolState

Take = Callable[[Sequence[Settlement]], bool]
"""Books settlements; returns whether they need not be kept any longer."""


class Spool(Protocol):
    """Keeps settlements of one tenant and one database until they are booked, also those of processes that died.

    Several processes may share a place, and none disturbs another: what a living one writes is its own. Synchronous and
    safe to use from any thread.
    """

    @property
    def waits(self) -> bool:
        """Whether anything may wait; cheap."""
        ...

    def append(self, settlements: Sequence[Settlement]) -> None:
        """Keep settlements; when it returns, they survive this process and the machine's power.

        Raises:
            CacheUnavailable: They cannot be kept: the disk fails or is full, or the limit is reached.
        """
        ...

    def require_room(self) -> None:
        """Return while there is room for what a new attempt may have to leave here; what is under way fits as well.

        Raises:
            LedgerFull: There is none.
        """
        ...

    def replay(self, take: Take) -> bool:
        """Hand over what waits, oldest first, except what other living processes wrote; return whether all was taken.

        A part that was not taken, or whose taking was interrupted, is handed over again as a whole the next time.

        Args:
            take: Gets some settlements at a time, in order.
        """
        ...

    def reject(self, settlements: Sequence[Settlement]) -> None:
        """Keep aside what can never be booked, for a person to look at."""
        ...

    def state(self) -> SpoolState:
        """Return what waits."""
        ...

    def close(self) -> None:
        """Leave what waits to others."""
        ...

    def forget(self) -> None:
        """Start anew after a fork: what waits is the parent's."""
        ...
