"""A limit that many processes share: one of Prefect's global concurrency limits around each attempt at a provider."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from prefect.concurrency.asyncio import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError, concurrency

from cognition.errors import BulkheadFull, ConfigurationError

# Longer than most answers take; whoever waits holds a place of this process meanwhile.
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class GlobalLimit:
    """A global concurrency limit of Prefect by its name; plain data, for blocks travel to other processes.

    Its slots are leases, so those of a process that died become free by themselves. Each one costs two requests to
    Prefect's server, some tens of milliseconds.

    Attributes:
        name: Name of the limit, as `prefect gcl create NAME --limit N` made it.
    """

    name: str

    def __call__(self) -> AbstractAsyncContextManager[object]:
        """Return a context in which one slot is held."""
        return _slot(self.name)


@asynccontextmanager
async def _slot(name: str) -> AsyncGenerator[None]:
    """Hold a slot.

    Raises:
        ConfigurationError: There is no such limit.
        BulkheadFull: No slot became free in time.
    """
    slot = concurrency(name, timeout_seconds=_PATIENCE_SECONDS, strict=True, raise_on_lease_renewal_failure=False)
    try:
        await slot.__aenter__()
    except AcquireConcurrencySlotTimeoutError as error:
        message = f"No slot of the global limit {name} became free in {_PATIENCE_SECONDS:g} seconds; raise its limit."
        raise BulkheadFull(message, service=name, max_concurrent=0, max_waiting=0) from error
    except ConcurrencySlotAcquisitionError as error:
        message = f"There is no global concurrency limit {name!r}; make it with: prefect gcl create {name} --limit 10"
        raise ConfigurationError(message) from error
    try:
        yield
    finally:
        await slot.__aexit__(None, None, None)
