"""Each index stands under the query it serves, and PostgreSQL agrees."""

import re
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, Index, PrimaryKeyConstraint, UniqueConstraint, text

from cognition.adapters import postgres
from cognition.adapters.postgres.tables import metadata

_FOLDER = Path(postgres.__path__[0])
_INDEX_UNDER_COMMENT = re.compile(r'((?:^ +# .*\n)*)^ +Index\(\s*"(\w+)"', re.MULTILINE)

INDEXES = {str(index.name): index for table in metadata.tables.values() for index in table.indexes}


def query_of(comment: str) -> str:
    """Return the SQL of the comment lines above an index."""
    return " ".join(line.strip(" #") for line in comment.splitlines())


QUERIES = {
    name: query_of(comment)
    for file in sorted(_FOLDER.glob("tables_*.py"))
    for comment, name in _INDEX_UNDER_COMMENT.findall(file.read_text())
}


def test_every_index_has_a_query() -> None:
    """None is without, and there are as many as the specification asks for."""
    assert sorted(INDEXES) == sorted(QUERIES)
    assert len(QUERIES) >= 20


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_the_query_of_an_index_can_use_it(template_engine: Engine, name: str) -> None:
    """With every other index of the table out of the way, the plan reads this one."""
    table = INDEXES[name].table
    assert table is not None
    with template_engine.connect() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        for other in table.indexes - {INDEXES[name]}:
            connection.execute(text(f"DROP INDEX {other.name}"))
        for constraint in table.constraints:
            if isinstance(constraint, (PrimaryKeyConstraint, UniqueConstraint)):
                connection.execute(text(f"ALTER TABLE {table.name} DROP CONSTRAINT {constraint.name} CASCADE"))
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {QUERIES[name]}")))
        connection.rollback()

    assert f" {name} " in plan


def test_no_index_repeats_the_start_of_another() -> None:
    """A prefix of a key, a unique constraint or a longer index would cost writes and serve nothing."""
    for table in metadata.tables.values():
        ordered = [tuple(index.columns.keys()) for index in table.indexes if _is_whole_btree(index)]
        ordered += [
            tuple(constraint.columns.keys())
            for constraint in table.constraints
            if isinstance(constraint, (PrimaryKeyConstraint, UniqueConstraint))
        ]
        starts = {columns[:length] for columns in ordered for length in range(1, len(columns))}

        assert not starts & set(ordered), table.name
        assert len(ordered) == len(set(ordered)), table.name


def _is_whole_btree(index: Index) -> bool:
    """Whether an index covers every row and is ordered by plain columns."""
    options = index.dialect_options["postgresql"]
    plain = all(isinstance(expression, Column) for expression in index.expressions)
    return plain and not options["using"] and options["where"] is None
