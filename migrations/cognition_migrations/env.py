"""Alembic's entry point: runs revisions on the connection that `cognition.adapters.postgres.migrate` hands over.

The transaction, the lock and the time-outs belong to that caller; nothing here commits or keeps session state.
"""

from alembic import context

from cognition.adapters.postgres.tables import metadata


def _is_ours(name: str | None, type_: str, _parents: object) -> bool:
    """Leave out foreign tables: the database may be shared, with a Prefect server for instance."""
    return type_ != "table" or name in metadata.tables


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=context.config.attributes["version_table"],
    include_name=_is_ours,
    compare_server_default=True,
)
context.run_migrations()
