"""Fill the database of a running installation with many jobs or workspaces."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy
from sqlalchemy import Connection, Engine

from broker.accounts import create_key, create_workspace
from tests.installation import until
from tests.stacks import Stack

GROUP = 5_000  # jobs in one transaction
CHAIN_SECONDS = 60
SPAN_MS = (
    20 * 3_600_000
)  # the age of the oldest copy: younger than a day, so that nothing is deleted

_SERIES = (
    "WITH RECURSIVE series(n) AS "
    "(SELECT {first} UNION ALL SELECT n + 1 FROM series WHERE n < {last}) "
)
_DIGITS = "'000000000000000' || substr(CAST(100000000000 + n AS TEXT), 2)"
"""SQL of the 26 characters of a copy's id: they sort before those of real jobs."""


@dataclass(frozen=True)
class Copying:
    """The way to copy a table: the column with the job's id, and SQL of columns that differ."""

    table: str
    job_column: str
    columns: Mapping[str, str]


def fill_jobs(stack: Stack, count: int, *, group: int = GROUP) -> None:
    """Add so many copies of an ended job, with payloads, attempts, generations and entries."""
    engine = sqlalchemy.create_engine(stack.database_url)
    template = until(lambda: _ended_job(engine), CHAIN_SECONDS, "no job has ended")
    for first in range(1, count + 1, group):
        last = min(first + group - 1, count)
        with engine.begin() as connection:
            for copying in _copyings(SPAN_MS // count, count):
                _copy(connection, copying, template, first, last)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        is_sqlite = engine.dialect.name == "sqlite"
        command = "PRAGMA wal_checkpoint(TRUNCATE)" if is_sqlite else "VACUUM ANALYZE"
        connection.exec_driver_sql(command)
    engine.dispose()


def _ended_job(engine: Engine) -> str | None:
    """Return a job whose entries are chained: copies need not be."""
    query = (
        "SELECT job_id FROM ledger_entries WHERE kind = 'settle' AND sequence IS NOT NULL LIMIT 1"
    )
    with engine.connect() as connection:
        return connection.exec_driver_sql(query).scalar()


def _copyings(step_ms: int, count: int) -> Sequence[Copying]:
    """Return how to copy each table, for copies that are `step_ms` apart."""
    job_id = f"'job_' || {_DIGITS}"
    times = {name: f"{name} - ({count} - n) * {step_ms}" for name in ("created_at", "ended_at")}
    entry_number = "(2 * n + CASE kind WHEN 'hold' THEN 0 ELSE 1 END)"
    return (
        Copying("jobs", "id", {"id": job_id, **times}),
        Copying("job_payloads", "job_id", {"job_id": job_id}),
        Copying("attempts", "job_id", {"job_id": job_id}),
        Copying(
            "generations",
            "job_id",
            {"id": f"'gen-' || {_DIGITS}", "job_id": job_id, "created_at": times["created_at"]},
        ),
        Copying(
            "ledger_entries",
            "job_id",
            {
                "id": f"'led_' || {_DIGITS.replace('+ n', f'+ {entry_number}')}",
                "job_id": job_id,
                "sequence": f"-{entry_number}",
            },
        ),
    )


def _copy(connection: Connection, copying: Copying, job_id: str, first: int, last: int) -> None:
    names = [each["name"] for each in sqlalchemy.inspect(connection).get_columns(copying.table)]
    selected = [copying.columns.get(name, f'"{name}"') for name in names]
    quoted = ", ".join(f'"{name}"' for name in names)
    series = _SERIES.format(first=first, last=last)
    connection.execute(
        sqlalchemy.text(
            f'INSERT INTO "{copying.table}" ({quoted}) {series} SELECT {", ".join(selected)} '
            f'FROM "{copying.table}", series WHERE "{copying.job_column}" = :job_id'
        ),
        {"job_id": job_id},
    )


def fill_workspaces(stack: Stack, count: int) -> Iterator[str]:
    """Create workspaces; return an API key of each."""
    engine = sqlalchemy.create_engine(stack.database_url)
    with engine.begin() as connection:
        for number in range(count):
            workspace_id = create_workspace(connection, f"growth {number}", unlimited=True)
            yield create_key(connection, workspace_id, "growth").key
    engine.dispose()
