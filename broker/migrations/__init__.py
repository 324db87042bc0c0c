"""Database migrations (Alembic), configured in code: there is no ini file.

`migrate(url)` brings a database to the newest version; start-up calls it.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine


def config(engine: Engine | None = None) -> Config:
    """Return Alembic's configuration; a command runs on `engine`'s database."""
    alembic = Config()
    alembic.set_main_option("script_location", str(Path(__file__).parent))
    alembic.attributes["engine"] = engine
    return alembic


def migrate(engine: Engine) -> None:
    """Bring the database to the newest version. Safe to call from several processes at once."""
    command.upgrade(config(engine), "head")
