"""Database migrations (Alembic), configured in code: there is no ini file.

`migrate(url)` brings a database to the newest version; start-up calls it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, String, column, inspect, select, table

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "alembic_version"  # Alembic's default


def config(engine: Engine | None = None) -> "Config":
    """Return Alembic's configuration; a command runs on `engine`'s database."""
    from alembic.config import Config

    alembic = Config()
    alembic.set_main_option("script_location", str(Path(__file__).parent))
    alembic.attributes["engine"] = engine
    return alembic


def read_version(connection: Connection) -> str | None:
    """Return the version of the database's tables, or None if there are none.

    Alembic reads the same row, but takes a while to load.
    """
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    versions = table(VERSION_TABLE, column("version_num", String))
    version: str | None = connection.execute(select(versions.c.version_num)).scalar()
    return version


def find_newest_version() -> str | None:
    """Return the newest version that this program has a migration for."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(config()).get_current_head()


def migrate(engine: Engine) -> None:
    """Bring the database to the newest version. Safe to call from several processes at once."""
    from alembic import command

    command.upgrade(config(engine), "head")
