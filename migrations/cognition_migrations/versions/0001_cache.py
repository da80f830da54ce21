"""Create the cache: entries of L2 and L3, namespaces, rollups and the single-flight fallback.

Why: answers must outlive Redis, be found by similarity, and be invalidated in one place that decides what is valid.
Lock: only on the new tables, which nobody uses yet; `CREATE EXTENSION` takes a short lock on the extension catalogue.
How long: well under a second; every index is built on an empty table.
If interrupted: nothing stays, the whole upgrade is one transaction.

The downgrade leaves the extension `vector` alone, because others may use it and we can't know who created it.
"""

from alembic import op

from cognition_migrations.sources import run

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    run("0001_cache.up.sql", "calculate_cache_hit_rate_v1.sql")


def downgrade() -> None:
    run("0001_cache.down.sql")
