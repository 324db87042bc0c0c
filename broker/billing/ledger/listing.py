"""List the entries of a workspace, page by page.

Only indexes of the chain are read: no other index slows the insertion of entries.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from broker.billing.ledger.chain import EntryRow
from broker.errors import InvalidRequestError
from broker.storage.tables import LedgerEntry, columns, table

_entries = table(LedgerEntry)
_SELECT = select(*columns(EntryRow, _entries))


def list_entries(
    connection: Connection, workspace_id: str, *, limit: int, after: str | None = None
) -> Sequence[EntryRow]:
    """Return entries, newest first: those that are not chained yet, then the chain backwards.

    `after` is the last id of the page before. Raises InvalidRequestError if the workspace has no
    such entry.
    """
    unchained = _SELECT.where(
        _entries.c.workspace_id == workspace_id, _entries.c.sequence.is_(None)
    )
    chained = _SELECT.where(
        _entries.c.workspace_id == workspace_id, _entries.c.sequence.is_not(None)
    )
    last = None if after is None else _find(connection, workspace_id, after)
    found: dict[str, EntryRow] = {}
    if last is None or last.sequence is None:
        if last is not None:
            unchained = unchained.where(_entries.c.id < last.id)
        rows = connection.execute(unchained.order_by(_entries.c.id.desc()).limit(limit))
        found = {row.id: EntryRow(*row) for row in rows}
    else:
        chained = chained.where(_entries.c.sequence < last.sequence)
    if len(found) < limit:
        rows = connection.execute(chained.order_by(_entries.c.sequence.desc()).limit(limit))
        # an entry that was chained between the two statements is in both
        found |= {row.id: EntryRow(*row) for row in rows if row.id not in found}
    return list(found.values())[:limit]


def _find(connection: Connection, workspace_id: str, entry_id: str) -> EntryRow:
    row = connection.execute(
        _SELECT.where(_entries.c.id == entry_id, _entries.c.workspace_id == workspace_id)
    ).first()
    if row is None:
        raise InvalidRequestError(f"after: there is no ledger entry {entry_id}.", param="after")
    return EntryRow(*row)
