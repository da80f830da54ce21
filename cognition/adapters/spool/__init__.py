"""Settlements in files of this machine, while PostgreSQL is away."""

from cognition.adapters.spool.spool import FileSpool

__all__ = ["FileSpool"]
