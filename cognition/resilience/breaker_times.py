"""How shared breakers are timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerTimes:
    """How shared breakers are timed, in seconds.

    Attributes:
        copy_seconds: A copy decides no call when it is older.
        refresh_seconds: How often copies in use are renewed in the background.
        idle_seconds: A copy that no call needed for so long is dropped; longer than a call takes.
        patience_seconds: No call waits longer for the store.
        full_seconds: After all permits were found taken, the store is not asked for one for so long.
        monotonic: Returns the time, from any beginning.
    """

    copy_seconds: float = 1.0
    refresh_seconds: float = 0.5
    idle_seconds: float = 120.0
    patience_seconds: float = 1.0
    full_seconds: float = 0.1
    monotonic: Callable[[], float] = time.monotonic
