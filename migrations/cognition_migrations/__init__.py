"""Alembic environment, revisions and SQL functions. Alembic loads them by path; nothing imports this package."""
