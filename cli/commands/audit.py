"""`waybill audit`: the audit log as JSON lines, oldest first."""

import json
from collections.abc import Iterator
from typing import Annotated

import typer
from sqlalchemy import Connection

from api.accounts.views import render_audit_entry
from broker.accounts.audit import AuditFilter, AuditRow, list_entries
from cli.database import local_database

PAGE = 1_000


def audit(
    action: Annotated[
        str | None,
        typer.Option(help="An action, e.g. keys.create, or keys for all actions on keys."),
    ] = None,
    last: Annotated[
        int, typer.Option(metavar="N", min=1, help="Number of entries, newest first.")
    ] = 1_000_000,
) -> None:
    """Print the audit log as JSON lines, oldest first."""
    with local_database() as database:
        found = database.read_now(lambda connection: list(_list_newest(connection, action, last)))
    for row in reversed(found):
        typer.echo(json.dumps(render_audit_entry(row), ensure_ascii=False))


def _list_newest(connection: Connection, action: str | None, count: int) -> Iterator[AuditRow]:
    after = None
    while count > 0:
        filter_ = AuditFilter(None, action=action)
        page = list_entries(connection, filter_, limit=min(PAGE, count), after=after)
        if not page:
            return
        yield from page
        count, after = count - len(page), page[-1].id
