"""Batches that have ended are kept for a while, for whoever asks what became of one."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from broker.native_batches.steps import NativeBatchState
from broker.storage.tables import NativeBatch, NativeLine, table

KEEP_MS = 30 * 86_400_000
"""Longer than a creation that went unheard is looked for: what is on record is not taken for it."""
GROUP = 20  # batches deleted in one transaction, with their lines

_batches = table(NativeBatch)
_lines = table(NativeLine)


def forget_many(connection: Connection, nows: Sequence[int]) -> Sequence[bool]:
    """Delete a group of batches whose time is over; True where there may be more."""
    return [_forget(connection, now) for now in nows]


def _forget(connection: Connection, now: int) -> bool:
    over = select(_batches.c.id).where(
        _batches.c.state == NativeBatchState.ENDED.value, _batches.c.ended_at <= now - KEEP_MS
    )
    ids = connection.execute(over.limit(GROUP)).scalars().all()
    connection.execute(delete(_lines).where(_lines.c.native_batch_id.in_(ids)))
    connection.execute(delete(_batches).where(_batches.c.id.in_(ids)))
    return len(ids) == GROUP
