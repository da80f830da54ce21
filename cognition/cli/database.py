"""The commands `cognition db upgrade` and `cognition db current`."""

import typer

from cognition.adapters.postgres import migrate
from cognition.adapters.postgres.connection import check, connect
from cognition.cli.output import AsJson, print_json
from cognition.settings import Settings
from cognition.wiring import database_of

db_app = typer.Typer(name="db", help="The database schema.", no_args_is_help=True)


@db_app.command()
def upgrade(json_output: AsJson = False) -> None:
    """Bring the database to the schema of this version; nothing happens when it is there already."""
    database = _reached()
    before = migrate.current(database)
    after = migrate.upgrade(database)
    if json_output:
        print_json({"before": before, "revision": after})
    elif before == after:
        typer.echo(f"The database schema is at {after} already.")
    else:
        typer.echo(f"The database schema is at {after} now.")


@db_app.command()
def current(json_output: AsJson = False) -> None:
    """Print the revision of the database, and fail when this version needs another one."""
    database = _reached()
    found = migrate.current(database)
    if json_output:
        print_json({"revision": found, "needed": migrate.head()})
    else:
        typer.echo(found or "none")
    migrate.require_current(database)


def _reached() -> str:
    """Return the URL of the database, after it was reached: what is wrong with it is said best by a first look."""
    url = database_of(Settings())
    database = connect(url)
    try:
        check(database)
    finally:
        database.dispose()
    return url
