"""Alembic's entry point: runs migrations on the engine it was handed, or on the configured one."""

from alembic import context
from sqlalchemy import Connection, Engine, create_engine, text
from sqlmodel import SQLModel

from broker import settings

ADVISORY_LOCK = 72_618_310  # any number, the same everywhere: PostgreSQL migrates once at a time


def _engine() -> Engine:
    handed: Engine | None = context.config.attributes.get("engine")
    return handed or create_engine(settings.load().database)


def _run(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=sqlite,
        compare_type=True,
        # SQLite's DDL is transactional too: all versions in one transaction, under one lock
        transactional_ddl=True,
    )
    with context.begin_transaction():
        connection.execute(
            text("BEGIN IMMEDIATE")
            if sqlite
            else text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
        )
        context.run_migrations()


with _engine().connect() as connection:
    _run(connection)
