"""The catalog as this installation serves it, and its database, migrated, for as long as needed."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from api.local_models import ask, local_servers
from broker import settings
from broker.catalog import Catalog, applied, load
from broker.clock import now_ms
from broker.database import Database
from broker.migrations import migrate
from broker.providers import configured
from broker.settings import Settings
from cli.start import data_directory


@contextlib.contextmanager
def opened(*, to_write: bool = True) -> Iterator[Database]:
    """Open the database; who only reads gets an empty one that is gone afterwards, if need be."""
    config = settings.load()
    with contextlib.ExitStack() as stack:
        url = config.database
        if to_write and url.startswith("sqlite"):
            data_directory.make(config.data_dir)
        elif _is_missing(config):
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            url = f"sqlite:///{directory}/empty.db"
        database = stack.enter_context(contextlib.closing(Database(url)))
        migrate(database.engine)
        yield database


def looked_up(config: Settings) -> Catalog:
    """Return the catalog as an API process would have it, and make or migrate no database for it.

    Without one that answers, no import counts.
    """
    known = configured(config)
    found = asyncio.run(ask(local_servers(known.values())))
    listed = [offer for offers in found.values() for offer in offers]
    if _is_missing(config):
        return load(config, known, listed)
    with contextlib.closing(Database(config.database)) as database:
        try:
            imported = database.read_now(applied.offers, now_ms())
        except SQLAlchemyError:
            imported = []
    return load(config, known, [*imported, *listed])


def _is_missing(config: Settings) -> bool:
    """Tell whether it is an SQLite file that is not there: opening it would make it."""
    url = make_url(config.database)
    return url.drivername.startswith("sqlite") and not Path(url.database or "").is_file()
