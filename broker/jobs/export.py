"""A workspace's data as lines of JSON: jobs with prompts and answers, generations, the ledger."""

from collections.abc import Iterator, Mapping, Sequence

import orjson
from sqlalchemy import Connection, RowMapping, Table, select

from broker.jobs import reports, views
from broker.storage.database import Database
from broker.storage.tables import Generation, Job, LedgerEntry, table

PAGE = 200

_jobs = table(Job)
_generations = table(Generation)
_entries = table(LedgerEntry)


def export_workspace(database: Database, workspace_id: str) -> dict[str, Iterator[bytes]]:
    """Return the lines of each file, by name; read a page at a time, oldest first."""
    return {
        "jobs.jsonl": _list_job_lines(database, workspace_id),
        "generations.jsonl": _list_lines(database, _generations, workspace_id),
        "ledger.jsonl": _list_lines(database, _entries, workspace_id),
    }


def _list_job_lines(database: Database, workspace_id: str) -> Iterator[bytes]:
    for row in _list_rows(database, _jobs, workspace_id):
        report = database.read_now(reports.job, workspace_id, row["id"])
        if report is not None:
            request = orjson.Fragment(report.payload.request) if report.payload.request else None
            yield _encode_line(views.job(report) | {"request": request})


def _list_lines(database: Database, table: Table, workspace_id: str) -> Iterator[bytes]:
    for row in _list_rows(database, table, workspace_id):
        yield _encode_line(dict(row))


def _list_rows(database: Database, table: Table, workspace_id: str) -> Iterator[RowMapping]:
    after = ""
    while page := database.read_now(_read_page, table, workspace_id, after):
        yield from page
        after = page[-1]["id"]


def _read_page(
    connection: Connection, table: Table, workspace_id: str, after: str
) -> Sequence[RowMapping]:
    query = select(table).where(table.c.workspace_id == workspace_id, table.c.id > after)
    return connection.execute(query.order_by(table.c.id).limit(PAGE)).mappings().all()


def _encode_line(value: Mapping[str, object]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
