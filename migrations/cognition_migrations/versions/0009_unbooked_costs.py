"""Find money that stands in the ledger and that no budget has booked, and book it.

Why: a call's row may be written although its budgets could not take it; comparing counters with settled reservations
alone cannot see that.
Lock: none on tables; it only adds functions.
How long: well under a second.
If interrupted: nothing stays, the whole upgrade is one transaction.
"""

from cognition_migrations.sources import run

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("budget_reconcile_v2.sql")


def downgrade() -> None:
    run("0009_unbooked_costs.down.sql")
