"""Engines: connections to SQLite and PostgreSQL with the settings that `database` relies on."""

from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler

READ_THREADS = 8
SQLITE_BUSY_MS = 30_000


class _SQLiteCompiler(SQLiteCompiler):
    """SQLAlchemy's compiler for SQLite, which also writes table hints (`INDEXED BY …`).

    The queries of `dispatch.due` and `rate_limits.job_limits` name the partial index that they
    need, since SQLite's planner may choose another. `Select.with_hint` is SQLAlchemy's way to name
    it, but its compiler for SQLite drops the hint, and `text()` would give up typed statements. A
    test fails once SQLAlchemy writes the hint itself: then this class can go.
    """

    def get_from_hint_text(self, _table: Any, text: str | None) -> str | None:
        return text


def create(url: str, sqlite_synchronous: str) -> Engine:
    """Create the engine of a database URL. `sqlite_synchronous` is the value of SQLite's pragma."""
    # errors are logged, and must not contain what callers wrote
    common: dict[str, Any] = {"pool_size": READ_THREADS + 2, "hide_parameters": True}
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, **common)
    engine = create_engine(url, connect_args={"check_same_thread": False}, **common)
    engine.dialect.statement_compiler = _SQLiteCompiler

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # autocommit in the driver: `Database` decides when a transaction starts, and how
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={sqlite_synchronous}",
            f"busy_timeout={SQLITE_BUSY_MS}",
            "foreign_keys=ON",
            "cache_size=-65536",
            "wal_autocheckpoint=4000",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def for_reading(engine: Engine) -> Engine:
    """Return the engine for reading, in which all statements of a transaction see one snapshot."""
    if engine.dialect.name == "sqlite":
        return engine  # a transaction in WAL mode is one; see `read_now`
    return engine.execution_options(isolation_level="REPEATABLE READ")
