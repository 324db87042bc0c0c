"""The catalog as this installation serves it, and its database, migrated, for as long as needed."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from broker import settings
from broker.catalog import Catalog, LiveCatalog, load
from broker.database import Database
from broker.migrations import migrate
from broker.providers import configured
from broker.settings import Settings


@contextlib.contextmanager
def opened() -> Iterator[Database]:
    config = settings.load()
    if config.database.startswith("sqlite"):
        config.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(config.database)
    try:
        migrate(database.engine)
        yield database
    finally:
        database.close()


def loaded() -> Catalog:
    """Return the catalog as an API process would have it."""
    config = settings.load()
    with opened() as database:
        return LiveCatalog(config, configured(config), database).current


def looked_up(config: Settings) -> Catalog:
    """Return the catalog as an API process would have it, and make or migrate no database for it.

    Without one that answers, no import counts.
    """
    known = configured(config)
    url = make_url(config.database)
    if url.drivername.startswith("sqlite") and not Path(url.database or "").is_file():
        return load(config, known)
    with contextlib.closing(Database(config.database)) as database:
        try:
            return LiveCatalog(config, known, database).current
        except SQLAlchemyError:
            return load(config, known)
