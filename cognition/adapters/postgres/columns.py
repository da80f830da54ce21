"""The one MetaData and the column kinds that every table shares.

Money is `NUMERIC(20,9)` US dollars, a time is `timestamptz` of the database clock, a key is the 32 bytes of a SHA-256.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, MetaData, Numeric, Text, text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP

# Constraint names are part of the schema: error translation and later revisions refer to them.
# Indexes carry explicit names that say which question they answer.
metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
    }
)


def tenant(*, primary_key: bool = False) -> Column[str]:
    """The owner of the row; no default, so that a statement that forgets it fails instead of leaking."""
    return Column("tenant", Text, primary_key=primary_key, nullable=False)


def label(name: str, *, primary_key: bool = False, default: str | None = None) -> Column[str]:
    """A text that is always known: a name, an identifier or a word of a fixed list."""
    server_default = None if default is None else text(f"'{default}'")
    return Column(name, Text, primary_key=primary_key, nullable=False, server_default=server_default)


def optional_label(name: str) -> Column[str]:
    """A text that may be unknown."""
    return Column(name, Text, nullable=True)


def digest(name: str, *, primary_key: bool = False, nullable: bool = False) -> Column[bytes]:
    """A SHA-256 as raw bytes: half the size of its hexadecimal form in the row and in every index."""
    return Column(name, BYTEA, primary_key=primary_key, nullable=nullable)


def money(name: str) -> Column[Any]:
    """US dollars that are always known, 0 at first."""
    return Column(name, Numeric(20, 9), nullable=False, server_default=text("0"))


def optional_money(name: str) -> Column[Any]:
    """US dollars that may be unknown: NULL is not zero."""
    return Column(name, Numeric(20, 9), nullable=True)


def counter(name: str) -> Column[int]:
    """A number of things that starts at 0 and only grows, or is written once."""
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def moment(name: str) -> Column[Any]:
    """A point in time the writer must state."""
    return Column(name, TIMESTAMP(timezone=True), nullable=False)


def optional_moment(name: str) -> Column[Any]:
    """A point in time that may not have come."""
    return Column(name, TIMESTAMP(timezone=True), nullable=True)


def moment_now(name: str) -> Column[Any]:
    """A point in time that is the start of the writing transaction unless stated."""
    return Column(name, TIMESTAMP(timezone=True), nullable=False, server_default=text("now()"))
