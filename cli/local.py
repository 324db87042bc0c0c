"""The configured database, for commands that work on it without a server."""

import contextlib
from collections.abc import Iterator

import typer

from broker.database import Database
from broker.settings import Settings
from cli.doctor import checkups
from cli.remote.client import complain
from cli.remote.server import running_at
from cli.running import in_force
from cli.start.serve import address, linking_to


@contextlib.contextmanager
def local_database() -> Iterator[Database]:
    """Open the configured database; exit with the remedy where it is not there or not current."""
    config = in_force()
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


def with_links() -> Settings:
    """Load the configuration for links to be given out: to `waybill up`, where it runs here."""
    config = in_force()
    url = running_at(config.data_dir) or address(config.host, config.port)
    return linking_to(config, url)
