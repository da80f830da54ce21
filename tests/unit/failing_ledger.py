"""A ledger that fails when it is told to."""

from cognition.adapters.memory import MemoryLedger
from cognition.domain.ledger import LedgerBatch
from cognition.errors import CacheUnavailable


class FailingLedger(MemoryLedger):
    """A ledger in memory that can be taken down and that chokes on some rows.

    Attributes:
        batches: Every batch that was tried, in order.
        down: Whether it answers nothing.
        poison: Request ids of rows that it can never write.
        poisoned_counts: Whether it can never write look-up counts.
    """

    def __init__(self) -> None:
        """Start empty and in order."""
        super().__init__()
        self.batches: list[LedgerBatch] = []
        self.down = False
        self.poison: set[str] = set()
        self.poisoned_counts = False

    def record(self, batch: LedgerBatch) -> None:
        """Write a batch, unless it must fail."""
        self.batches.append(batch)
        self.ping()
        if self.poison & {row.request_id for row in batch.rows} or (self.poisoned_counts and batch.counts):
            raise ValueError("no such value")
        super().record(batch)

    def ping(self) -> None:
        """Fail while the ledger is down."""
        if self.down:
            raise CacheUnavailable.of("postgres", "no connection")

    @property
    def written(self) -> list[str]:
        """The request ids of the rows, oldest write first."""
        return [row.request_id for row in self.rows]
