"""Let people adjust, close, reconcile and purge what budgets keep, each as one atomic step.

Why: a reset, a raise or a transfer must not race with the calls that spend, an alert must be delivered once although
several processes deliver, and a counter must be provable from the rows below it, also after old ones were purged.
Lock: `budget_periods` exclusively, for one new column with a constant default, which rewrites nothing; otherwise only
functions are added, and `check_budget_status` is replaced by its second version.
How long: well under a second, once calls that hold a counter let go of it.
If interrupted: nothing stays, the whole upgrade is one transaction.
"""

from cognition_migrations.sources import run

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(
        "0007_budget_administration.up.sql",
        "budget_adjust_v1.sql",
        "budget_close_v1.sql",
        "budget_reconcile_v1.sql",
        "budget_purge_v1.sql",
        "check_budget_status_v2.sql",
    )


def downgrade() -> None:
    run("0007_budget_administration.down.sql")
