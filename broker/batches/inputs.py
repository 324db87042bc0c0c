"""The file that a batch reads: which may be one, and that it stays as long as it is read."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from broker.batches.vocabulary import MAX_BYTES, MAX_LINES, OPEN
from broker.errors import InvalidRequestError
from broker.storage import files
from broker.storage.files import Purpose
from broker.storage.tables import Batch, StoredFile, table

_batches = table(Batch)
_files = table(StoredFile)
_OPEN = [state.value for state in OPEN]


def usable_lines(file: Any, now: int) -> int:
    """Return how many lines a file has that is to be a batch's input. Raises for what is none."""
    if file is None or (file.expires_at is not None and file.expires_at <= now):
        raise InvalidRequestError(
            "input_file_id: there is no such file: upload one with purpose `batch`.",
            param="input_file_id",
        )
    if file.purpose != Purpose.BATCH.value:
        raise InvalidRequestError(
            f"input_file_id: {file.id} has purpose {file.purpose!r}: upload it with purpose "
            "`batch`.",
            param="input_file_id",
        )
    check_size(file.bytes, file.lines or 0)
    return int(file.lines or 0)


def check_size(size: int, lines: int, *, param: str = "input_file_id") -> None:
    """Refuse an input that is empty or too large for one batch."""
    if not lines:
        raise InvalidRequestError("The input has no request in it.", param=param)
    if size > MAX_BYTES:
        raise InvalidRequestError(
            f"The input has {size:,} bytes; a batch takes {MAX_BYTES:,}: split it.",
            param=param,
        )
    if lines > MAX_LINES:
        raise InvalidRequestError(
            f"The input has {lines:,} requests; a batch takes {MAX_LINES:,}: split it.",
            param=param,
        )


def kept_input(connection: Connection, file_id: str, workspace_id: str) -> Any:
    """Return the row of a workspace's file, which stays until the transaction ends; or None."""
    return connection.execute(
        select(_files)
        .where(_files.c.id == file_id, _files.c.workspace_id == workspace_id)
        .with_for_update(read=True)
    ).first()


def input_file(connection: Connection, file_id: str) -> Any:
    """Return the row of a batch's input, or None where it is gone."""
    return connection.execute(select(_files).where(_files.c.id == file_id)).first()


def delete_files_many(connection: Connection, file_ids: Sequence[str]) -> Sequence[bool]:
    """Delete files' rows; False for one that a batch still reads. Their bytes go after the commit.

    A batch that is made meanwhile waits for this, and is refused: its input is not there.
    """
    connection.execute(
        select(_files.c.id).where(_files.c.id.in_(file_ids)).order_by(_files.c.id).with_for_update()
    )
    read = select(_batches.c.input_file_id).where(
        _batches.c.input_file_id.in_(file_ids), _batches.c.state.in_(_OPEN)
    )
    in_use = set(connection.execute(read).scalars())
    files.remove(connection, [file_id for file_id in file_ids if file_id not in in_use])
    return [file_id not in in_use for file_id in file_ids]
