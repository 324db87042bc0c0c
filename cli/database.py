"""The configured database, its catalog and its workspaces, for commands without a server."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import typer
from sqlalchemy import Connection, create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from api.core.local_models import fetch_lists, find_local_servers
from broker import accounts, migrations, settings
from broker.accounts import WorkspaceRow
from broker.administration import workspaces as administration
from broker.catalog import Catalog, imports, load
from broker.clock import now_ms
from broker.migrations import migrate
from broker.providers.configuration import load_providers
from broker.settings import Settings
from broker.storage.database import Database
from cli import data_directory
from cli.client.server import running_at
from cli.configuration import address, linking_to, load_configuration
from cli.messages import first_line, print_error


@contextlib.contextmanager
def local_database() -> Iterator[Database]:
    """Open the configured database; exit with the remedy where it is missing or not current."""
    config = load_configuration()
    try:
        check_database(config)  # opening a missing SQLite file would create it
    except CheckFailed as error:
        print_error(str(error))
        raise typer.Exit(1) from None
    database = Database(config.database, sqlite_synchronous=config.sqlite_synchronous)
    try:
        yield database
    finally:
        database.close()


def load_with_links() -> Settings:
    """Load the configuration with the URL of links: that of `waybill up`, where it runs here."""
    config = load_configuration()
    url = running_at(config.data_dir) or address(config.host, config.port)
    return linking_to(config, url)


class CheckFailed(Exception):  # noqa: N818  # the outcome of a check
    """A check failed; the text is the problem and the remedy."""


def check_database(config: Settings) -> str:
    """Check that the database answers and has the newest tables."""
    current = read_revision(config)
    shown = make_url(config.database).render_as_string(hide_password=True)
    newest = migrations.find_newest_version()
    if current != newest:
        raise CheckFailed(f"{shown} has version {current}, not {newest}: run `waybill migrate`")
    return f"{shown}, version {current}"


def read_revision(config: Settings) -> str:
    """Return the version of the database's tables. Raises CheckFailed where there are none."""
    url = make_url(config.database)
    shown = url.render_as_string(hide_password=True)
    if url.drivername.startswith("sqlite") and not Path(url.database or "").is_file():
        raise CheckFailed(
            f"{shown} does not exist yet: `waybill up` or `waybill migrate` creates it; if yours "
            "is elsewhere, `cd` to it or set WAYBILL_DATA_DIR"
        )
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            current = migrations.read_version(connection)
    except Exception as error:
        message = first_line(error)
        raise CheckFailed(
            f"{shown} does not answer ({message}): check WAYBILL_DATABASE_URL"
        ) from error
    finally:
        engine.dispose()
    if current is None:
        raise CheckFailed(f"{shown} has no tables yet: run `waybill migrate`")
    return current


@contextlib.contextmanager
def open_database(*, to_write: bool = True) -> Iterator[Database]:
    """Open the database; a reader of a missing one gets an empty, temporary one."""
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


def look_up_catalog(config: Settings) -> Catalog:
    """Return the catalog as an API process would load it. Create or migrate no database.

    Without a database that answers, there are no imports.
    """
    known = load_providers(config)
    found = asyncio.run(fetch_lists(find_local_servers(known.values())))
    listed = [offer for offers in found.values() for offer in offers]
    if _is_missing(config):
        return load(config, known, listed)
    with contextlib.closing(Database(config.database)) as database:
        try:
            imported = database.read_now(imports.list_current, now_ms())
        except SQLAlchemyError:
            imported = []
    return load(config, known, [*imported, *listed])


def _is_missing(config: Settings) -> bool:
    """Return True for an SQLite file that does not exist: opening it would create it."""
    url = make_url(config.database)
    return url.drivername.startswith("sqlite") and not Path(url.database or "").is_file()


WORKSPACE_HELP = "A workspace's id, slug or name."


def find_workspace_id(connection: Connection, name: str) -> str:
    """Return the id of a workspace; exit with a hint where there is none."""
    found = accounts.find_workspace_id(connection, name)
    if found is None:
        print_error(f"there is no workspace {name!r}: see `waybill workspaces list`")
        raise typer.Exit(1)
    return found


def get_workspace_row(connection: Connection, name: str) -> WorkspaceRow:
    """Return the row of a workspace; exit with a hint where there is none."""
    return administration.get_workspace(connection, find_workspace_id(connection, name))
