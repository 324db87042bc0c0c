"""The configured database, for commands that work on it without a server."""

import contextlib
import os
from collections.abc import Iterator

import typer

from broker import settings
from broker.database import Database
from broker.settings import Settings
from cli.doctor import checkups
from cli.remote.client import complain
from cli.remote.server import running_at
from cli.start.demonstration import demo_file
from cli.start.serve import address, linking_to


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


def in_force() -> Settings:
    """Load the configuration; that of a demo which runs here, where there is no other."""
    config = settings.load()
    demo = demo_file(config.data_dir)
    if settings.config_path().is_file() or not demo.is_file() or not running_at(config.data_dir):
        return config
    os.environ["WAYBILL_CONFIG"] = str(demo)
    return settings.load()


def with_links() -> Settings:
    """Load the configuration for links to be given out: to `waybill up`, where it runs here."""
    config = settings.load()
    url = running_at(config.data_dir) or address(config.host, config.port)
    return linking_to(config, url)
