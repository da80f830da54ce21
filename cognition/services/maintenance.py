"""Looking after the store: each step may be stopped, run twice or late, and by several processes at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from cognition.domain.batches import in_batches
from cognition.domain.upkeep import LEDGER_DAYS_LEAST, TableHealth, VectorIndex
from cognition.errors import ConfigurationError
from cognition.ports import Clock
from cognition.services.semantic_upkeep import ReEmbedded

_BATCH: Final = 10_000  # rows a statement may look at; each thousand is a transaction of its own
MOST: Final = 1_000_000
"""How many rows a step deletes at most: a run that is late by a year must end too."""


class UpkeepStore(Protocol):
    """The tables, as far as upkeep needs them; see `cognition.adapters.postgres.upkeep`."""

    def purge_semantic(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` vectors and pairs that were last used and met before a time; return how many."""
        ...

    def roll_up(self, before: datetime, limit: int) -> int:
        """Add up to `limit` ledger rows from before a time to the history, and delete them; return how many."""
        ...

    def tables(self) -> list[TableHealth]:
        """Return what the tables take, largest first."""
        ...


class Cache(Protocol):
    """`CacheControl`, as far as upkeep needs it."""

    def purge(self, limit: int = ...) -> int:
        """Delete expired answers; return how many."""
        ...

    def reembed(self, limit: int = ...) -> ReEmbedded:
        """Let the present embedder find what was kept with another one."""
        ...

    def vector_index(self) -> VectorIndex:
        """Return how the vectors of L3 are searched."""
        ...

    def build_vector_index(self, lists: int | None = ...) -> str:
        """Build an IVFFlat index for them; return its name."""
        ...


class Breakers(Protocol):
    """`BreakerControl`, as far as upkeep needs it."""

    def purge(self, older_than: timedelta = ..., limit: int = ...) -> int:
        """Delete old transitions; return how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepParts:
    """What upkeep works with.

    Attributes:
        store: The tables; None where there are none.
        has_embedder: Whether answers may have to move to another embedder.
        clock: Returns the present time.
    """

    store: UpkeepStore | None
    has_embedder: bool
    clock: Clock


class Maintenance:
    """Looks after one store."""

    def __init__(self, parts: UpkeepParts, cache: Cache, breakers: Breakers) -> None:
        """Look after a store.

        Args:
            parts: What it works with.
            cache: Knows what has expired.
            breakers: Keep a history.
        """
        self._parts = parts
        self._cache = cache
        self._breakers = breakers

    def purge_answers(self, most: int = MOST) -> int:
        """Delete expired answers of L2 and L3 in batches; return how many.

        Args:
            most: How many at most.

        Raises:
            CacheUnavailable: PostgreSQL does not answer.
        """
        return in_batches(self._cache.purge, most, _BATCH)

    def purge_questions(self, keep: timedelta = timedelta(days=30), most: int = MOST) -> int:
        """Delete vectors and met pairs that nobody has used for a while; return how many. Verdicts stay.

        Args:
            keep: For how long they are kept.
            most: How many at most.

        Raises:
            CacheUnavailable: PostgreSQL does not answer.
        """
        store = self._parts.store
        if store is None:
            return 0
        before = self._parts.clock() - keep
        return in_batches(lambda limit: store.purge_semantic(before, limit), most, _BATCH)

    def purge_breaker_history(self, keep: timedelta = timedelta(days=90), most: int = MOST) -> int:
        """Delete old changes of circuit breakers; return how many.

        Args:
            keep: For how long they are kept.
            most: How many at most.

        Raises:
            CacheUnavailable: PostgreSQL does not answer.
        """
        return in_batches(lambda limit: self._breakers.purge(keep, limit), most, _BATCH)

    def roll_up_ledger(self, keep: timedelta, most: int = MOST) -> int:
        """Delete old rows of the ledger, whose sums are kept; return how many.

        Reports add up to the same to the last digit, in any calendar, by workflow, user, team, task, model, layer and
        day. Which run and request it was is forgotten. Rows stay for as long as a reservation of a budget belongs to
        them. A row that is written again later, from a spool that was away for so long, would be booked anew.

        The table has no partitions that could be dropped instead: see revision 0010.

        Args:
            keep: For how long they are kept; forecasts of budgets look back 93 days.
            most: How many at most.

        Raises:
            ConfigurationError: It is too short.
            CacheUnavailable: PostgreSQL does not answer.
        """
        if keep < timedelta(days=LEDGER_DAYS_LEAST):
            raise ConfigurationError(
                f"The ledger is kept for {LEDGER_DAYS_LEAST} days at least, not {keep}, because forecasts of budgets"
                " look back so far; give a longer time."
            )
        store = self._parts.store
        if store is None:
            return 0
        before = self._parts.clock() - keep
        return in_batches(lambda limit: store.roll_up(before, limit), most, _BATCH)

    def reembed(self, most: int = 10_000) -> ReEmbedded | None:
        """Let the present embedder find what was kept with another one; None when there is no embedder.

        Args:
            most: How many answers are looked at; the next run goes on.

        Raises:
            CacheUnavailable: The embedder or PostgreSQL did not answer; what was moved before stays moved.
        """
        return self._cache.reembed(most) if self._parts.has_embedder else None

    def vector_index(self) -> VectorIndex | None:
        """Return how the vectors of L3 are searched; None when there is no embedder.

        Raises:
            CacheUnavailable: PostgreSQL does not answer.
        """
        return self._cache.vector_index() if self._parts.has_embedder else None

    def build_index(self) -> str | None:
        """Build an IVFFlat index for the vectors of L3 if one is due, while others read and write; return its name.

        It is due when a bulk load has left many vectors that no index finds, and again when they have become twice as
        many. Otherwise nothing is done and None is returned.

        Raises:
            ConfigurationError: The server may not use enough memory to sort them.
            CacheUnavailable: PostgreSQL does not answer, or gave the build up.
        """
        index = self.vector_index()
        return self._cache.build_vector_index() if index is not None and index.is_due else None

    def tables(self) -> Sequence[TableHealth]:
        """Return what the tables take, largest first.

        Raises:
            CacheUnavailable: PostgreSQL does not answer.
        """
        return [] if self._parts.store is None else self._parts.store.tables()

    def advice(self, tables: Sequence[TableHealth], index: VectorIndex | None = None) -> list[str]:
        """Return what a person should do about some tables and the index of L3."""
        now = self._parts.clock()
        advice = [*(table.advice(now) for table in tables), None if index is None else index.advice()]
        return [one for one in advice if one is not None]
