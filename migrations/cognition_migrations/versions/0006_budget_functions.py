"""Move reserving and settling money into the database: who may spend is decided under the locks of the counters.

Why: processes that read a counter, decide, and write it later all spend the same last dollar; one function decides
over all budgets of a call at once, on the one clock that all share, and says the same when it is asked again.
Lock: none on tables; it only adds a type and functions.
How long: well under a second.
If interrupted: nothing stays, the whole upgrade is one transaction.
"""

from cognition_migrations.sources import run

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(
        "budget_period_v2.sql",
        "budget_standing_v1.sql",
        "budget_alert_v1.sql",
        "budget_expire_v1.sql",
        "budget_reserve_v1.sql",
        "budget_settle_v1.sql",
        "budget_renew_v1.sql",
    )


def downgrade() -> None:
    run("0006_budget_functions.down.sql")
