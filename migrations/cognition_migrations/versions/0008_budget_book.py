"""Book money that was spent while the database was away, under budgets that allow that.

Why: nothing could be reserved for such an attempt, and a settlement without a reservation books nothing.
Lock: none on tables; it only adds a function.
How long: well under a second.
If interrupted: nothing stays, the whole upgrade is one transaction.
"""

from cognition_migrations.sources import run

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("budget_book_v1.sql")


def downgrade() -> None:
    run("0008_budget_book.down.sql")
