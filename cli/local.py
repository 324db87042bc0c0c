"""The configured database, for commands that work on it without a server."""

import contextlib
from collections.abc import Iterator

import typer

from broker import settings
from broker.database import Database
from cli.doctor import checkups
from cli.remote.client import complain


@contextlib.contextmanager
def local_database() -> Iterator[Database]:
    """Open the configured database; exit with the remedy where it is not there or not current."""
    config = settings.load()
    try:
        checkups.database(config)  # opening a missing SQLite file would make an empty one
    except checkups.Ailment as ailment:
        complain(str(ailment))
        raise typer.Exit(1) from None
    database = Database(config.database, sqlite_synchronous=config.sqlite_synchronous)
    try:
        yield database
    finally:
        database.close()
