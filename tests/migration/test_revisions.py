"""The revisions create what the tables describe, and each can be undone."""

import re
from importlib import resources
from itertools import pairwise

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from cognition.adapters.postgres import migrate
from cognition.adapters.postgres.tables import metadata

PACKAGE = resources.files("cognition_migrations")
SCRIPTS = ScriptDirectory(str(PACKAGE))
REVISIONS = sorted(script.revision for script in SCRIPTS.walk_revisions())

# Everything a schema consists of, as PostgreSQL itself spells it. Sorted, because the order of creation may differ.
_DESCRIBE_SCHEMA = """
    SELECT 'table', c.relname, c.relpersistence::text
    FROM pg_class AS c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'column', c.relname || '.' || a.attname, concat_ws(' ',
        format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
        pg_get_expr(d.adbin, d.adrelid))
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
    UNION ALL
    SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid)
    FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.objid = p.oid AND e.deptype = 'e')
    ORDER BY 1, 2, 3
"""


def engine_of(url: str) -> Engine:
    """Return an engine that keeps no connection open."""
    return create_engine(url, poolclass=NullPool)


def schema_of(url: str, *kinds: str) -> list[tuple[str, ...]]:
    """Return the description of a schema, without Alembic's own table."""
    with engine_of(url).connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(_DESCRIBE_SCHEMA))]
    return [row for row in rows if migrate.VERSION_TABLE not in row[1] and (not kinds or row[0] in kinds)]


def move(url: str, direction: str, revision: str) -> None:
    """Upgrade or downgrade to one revision."""
    config = Config()
    config.set_main_option("script_location", str(PACKAGE))
    with engine_of(url).begin() as connection:
        config.attributes.update(connection=connection, version_table=migrate.VERSION_TABLE)
        getattr(command, direction)(config, revision)


def test_head_has_the_tables_of_the_metadata_as_alembic_sees_them(database_url: str) -> None:
    """Alembic would generate no further revision."""
    with engine_of(database_url).connect() as connection:
        options = {"version_table": migrate.VERSION_TABLE, "compare_server_default": True}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    assert [] == differences


def test_head_has_the_tables_of_the_metadata_as_postgresql_sees_them(database_url: str, empty_url: str) -> None:
    """Checks, generated columns and expression indexes, which Alembic does not compare, are equal too."""
    engine = engine_of(empty_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE EXTENSION vector"))
        metadata.create_all(connection)

    kinds = ("table", "column", "constraint", "index")
    # Fill factors of tables are not part of pg_indexes, and the metadata leaves them to the revisions.
    assert schema_of(empty_url, *kinds) == schema_of(database_url, *kinds)


@pytest.mark.parametrize(("older", "revision"), list(pairwise(["base", *REVISIONS])))
def test_a_downgrade_drops_exactly_what_the_upgrade_made(empty_url: str, older: str, revision: str) -> None:
    """Down again is the schema from before, and up again the schema from after."""
    move(empty_url, "upgrade", older)
    before = schema_of(empty_url)
    move(empty_url, "upgrade", revision)
    after = schema_of(empty_url)

    move(empty_url, "downgrade", older)
    assert before == schema_of(empty_url)

    move(empty_url, "upgrade", revision)
    assert after == schema_of(empty_url)
    assert before != after


def test_the_downgrade_function_leads_back_to_an_empty_database(database_url: str) -> None:
    """An operator can take the whole schema away, and put it back."""
    migrate.downgrade(database_url, "base")

    assert migrate.current(database_url) is None
    assert [] == schema_of(database_url)
    assert migrate.head() == migrate.upgrade(database_url)


def test_file_names_start_with_their_revision_and_follow_each_other() -> None:
    """The file names alone tell the order, and `head` relies on it."""
    files = sorted(file.name for file in (PACKAGE / "versions").iterdir() if file.name.endswith(".py"))

    assert [f"{number:04}" for number in range(1, len(files) + 1)] == [name[:4] for name in files]
    assert REVISIONS == [name[:4] for name in files]
    assert all(re.fullmatch(r"\d{4}_[a-z_]+\.py", name) for name in files)
    assert SCRIPTS.get_current_head() == migrate.head()


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_revision_says_why_which_lock_how_long_and_what_if_interrupted(revision: str) -> None:
    """An operator decides from the docstring whether to upgrade at noon."""
    docstring = SCRIPTS.get_revision(revision).module.__doc__ or ""

    assert all(f"\n{question}: " in docstring for question in ("Why", "Lock", "How long", "If interrupted"))


def test_every_sql_file_belongs_to_a_revision() -> None:
    """No SQL lies around that nothing runs."""
    used = "".join(file.read_text() for file in (PACKAGE / "versions").iterdir() if file.name.endswith(".py"))

    assert [] == [file.name for file in (PACKAGE / "sql").iterdir() if f'"{file.name}"' not in used]


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_every_table_names_its_tenant(table: str) -> None:
    """A row without an owner can't be written, not even by omission."""
    tenant = metadata.tables[table].c["tenant"]

    assert not tenant.nullable
    assert tenant.server_default is None
