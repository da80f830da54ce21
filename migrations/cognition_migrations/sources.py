"""Runs the SQL files that make up a revision; SQL is kept where it can be read as SQL."""

from importlib import resources

from alembic import op
from sqlalchemy import text


def run(*names: str) -> None:
    """Execute files of `sql/` in order, each as one batch of statements.

    Args:
        *names: File names such as `0001_cache.up.sql`. A released file is never edited.
    """
    folder = resources.files("cognition_migrations") / "sql"
    for name in names:
        op.execute(text((folder / name).read_text(encoding="utf-8")))
