"""Move the circuit breaker's decisions into the database: who may call, what a result changes, what a person orders.

Why: processes that decide for themselves from what they read would all be the first to probe; one function decides
under the lock of the breaker's row, on the one clock that all share.
Lock: `ACCESS EXCLUSIVE` on circuit_breaker_state for a new column with a constant default; nothing is rewritten.
How long: well under a second.
If interrupted: nothing stays, the whole upgrade is one transaction.
"""

from cognition_migrations.sources import run

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(
        "0005_breaker_functions.up.sql",
        "breaker_steps_v1.sql",
        "breaker_admit_v1.sql",
        "breaker_record_v1.sql",
        "breaker_force_v1.sql",
    )


def downgrade() -> None:
    run("0005_breaker_functions.down.sql")
