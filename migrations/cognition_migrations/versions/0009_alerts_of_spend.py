"""Raise alerts for money that is spent, and for calls that will never fit, not for calls that wait for their turn.

Why: what is set aside is the most that calls under way can cost. A budget of which a tenth is spent was reported as
used up whenever many calls came at once, and an automation would have paused their deployment.
Lock: none on tables; it only adds a function.
How long: well under a second.
If interrupted: nothing stays, the whole upgrade is one transaction.
"""

from cognition_migrations.sources import run

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("budget_reserve_v2.sql")


def downgrade() -> None:
    run("0009_alerts_of_spend.down.sql")
