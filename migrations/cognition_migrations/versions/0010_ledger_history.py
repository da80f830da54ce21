"""Keep what old rows of the ledger came to, so that they can be deleted and every report stays what it was.

Why: the ledger grows by a row for each call, for ever. It cannot be partitioned by time and have whole months dropped:
PostgreSQL lets a partitioned table have only unique keys that contain what it is partitioned by, and what keeps an
attempt from being booked twice is the key (tenant, call_key, attempt), which has no time in it.
Lock: none on tables that are there; it only adds one.
How long: well under a second.
If interrupted: nothing stays, the whole upgrade is one transaction.

The downgrade deletes what the deleted rows came to, which nothing can bring back: export a chargeback before.
"""

from cognition_migrations.sources import run

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("0010_ledger_history.up.sql")


def downgrade() -> None:
    run("0010_ledger_history.down.sql")
