"""Create the ledger and the tables of budgets.

Why: every attempt and every hit is booked to whoever caused it, and a budget is enforced by rows that are locked in the
transaction that spends, not by reading the ledger.
Lock: only on the new tables, which nobody uses yet.
How long: well under a second; every index is built on an empty table.
If interrupted: nothing stays, the whole upgrade is one transaction.
"""

from cognition_migrations.sources import run

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("0002_cost_and_budgets.up.sql", "budget_period_v1.sql", "check_budget_status_v1.sql")


def downgrade() -> None:
    run("0002_cost_and_budgets.down.sql")
