"""Prepare the semantic layer: vectors of texts, pairs of similar questions, verdicts on them, and blocked pairs.

Why: an answer given for a similar question must be found again when the original is invalidated or reported, and a pair
that was judged wrong must never meet again.
Lock: `ACCESS EXCLUSIVE` on llm_cache and llm_semantic_cache for two new columns and an index; nothing is rewritten, but
readers and writers of these two wait meanwhile.
How long: well under a second without entries. The index on llm_cache is empty, yet the table is read once to find that
out: about a second for each million entries. llm_semantic_cache has no rows, since no earlier version writes to it.
If interrupted: nothing stays, the whole upgrade is one transaction.

The downgrade deletes the rows of llm_semantic_cache; llm_cache keeps its entries.
"""

from cognition_migrations.sources import run

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("0004_semantic.up.sql")


def downgrade() -> None:
    run("0004_semantic.down.sql")
