"""The database of this installation, migrated, for as long as a command needs it."""

import contextlib
from collections.abc import Iterator

from broker import settings
from broker.catalog import Catalog, applied, load
from broker.clock import now_ms
from broker.database import Database
from broker.migrations import migrate
from broker.providers import configured


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
        offers = database.read_now(applied.offers, now_ms())
    return load(config, configured(config), offers)
