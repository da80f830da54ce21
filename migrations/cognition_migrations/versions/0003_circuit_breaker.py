"""Create the circuit breaker's shared state, half-open permits and history.

Why: processes that share a provider must share the knowledge that it is down, and probe it with a handful of calls
together instead of a handful each.
Lock: only on the new tables, which nobody uses yet.
How long: well under a second; every index is built on an empty table.
If interrupted: nothing stays, the whole upgrade is one transaction.
"""

from cognition_migrations.sources import run

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("0003_circuit_breaker.up.sql")


def downgrade() -> None:
    run("0003_circuit_breaker.down.sql")
