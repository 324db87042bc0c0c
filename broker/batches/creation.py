"""A new batch: check its input file and write the batch down. Its lines are taken in later."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select

from broker.accounts import Principal, Scope
from broker.batches.vocabulary import MAX_BYTES, MAX_LINES, OPEN, Options, window_ms
from broker.enums import BatchState, FilePurpose
from broker.errors import IdempotencyMismatchError, InvalidRequestError
from broker.ids import new_id
from broker.requests.operations import Operation
from broker.storage import files
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
    if file.purpose is not FilePurpose.BATCH:
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


_INSERT = insert(_batches)


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """The caller's options for a whole batch."""

    endpoint: Operation
    completion_window: str = "24h"
    options: Options = field(default_factory=Options)
    priority: int = 0
    max_concurrency: int | None = None
    max_cost_nanos: int | None = None
    webhook: str | None = None  # JSON {url, events}
    retry_of: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch ready to be inserted; `own_file` is its input where that is not there yet."""

    row: Mapping[str, Any]
    own_file: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Created:
    batch_id: str
    replayed: bool  # the idempotency key was known: this is the earlier batch


def new_batch(
    wish: BatchOptions,
    principal: Principal,
    now: int,
    *,
    input_file_id: str,
    content: str | None = None,
    inline: bool = False,
) -> NewBatch:
    """Decide everything about a batch.

    `content` tells this input from others where the file's id does not: it is written for this.
    """
    row = {
        "id": new_id("batch_"),
        "workspace_id": principal.workspace_id,
        "api_key_id": principal.api_key_id,
        "state": BatchState.VALIDATING.value,
        "endpoint": wish.endpoint.value,
        "input_file_id": input_file_id,
        "inline": inline,
        "completion_window": wish.completion_window,
        "options": orjson.dumps(asdict(wish.options)).decode(),
        "priority": wish.priority,
        "max_concurrency": wish.max_concurrency,
        "max_cost_nanos": wish.max_cost_nanos,
        "webhook": wish.webhook,
        "retry_of": wish.retry_of,
        "idempotency_key": wish.idempotency_key,
        "fingerprint": _fingerprint(wish, content or input_file_id, principal),
        "cursor": 0,
        "lines_read": 0,
        "lines_total": 0,
        "created_at": now,
        "expires_at": now + window_ms(wish.completion_window),
    }
    return NewBatch(row)


def insert_batch(connection: Connection, new: NewBatch) -> Created:
    """Insert a batch; a known idempotency key gives the earlier batch instead.

    Raises WaybillError for a batch that is refused.
    """
    row = new.row
    if (known := earlier(connection, row)) is not None:
        return known
    if new.own_file is not None:
        connection.execute(insert(_files), [new.own_file])
    file = kept_input(connection, row["input_file_id"], row["workspace_id"])
    lines = usable_lines(file, row["created_at"])
    connection.execute(_INSERT, [{**row, "lines_total": lines}])
    return Created(row["id"], replayed=False)


def earlier(connection: Connection, row: Mapping[str, Any]) -> Created | None:
    """Return the batch that was made with the idempotency key of this one's row.

    Raises IdempotencyMismatchError where that was asked for something else.
    """
    if row["idempotency_key"] is None:
        return None
    known = connection.execute(
        select(_batches.c.id, _batches.c.fingerprint).where(
            _batches.c.workspace_id == row["workspace_id"],
            _batches.c.idempotency_key == row["idempotency_key"],
        )
    ).first()
    if known is None:
        return None
    if known.fingerprint != row["fingerprint"]:
        raise IdempotencyMismatchError(
            f"Idempotency-Key {row['idempotency_key']!r} was used with another request (batch "
            f"{known.id}): send the same to get that batch, or another key for a new one.",
            param="Idempotency-Key",
        )
    return Created(known.id, replayed=True)


def _fingerprint(wish: BatchOptions, content: str, principal: Principal) -> str:
    """Digest all that was asked: the same key with anything else is another request.

    So is the request of another caller, where either sees its own batches only.
    """
    asked = asdict(wish) | {"idempotency_key": None}
    owner = principal.owner_filter(Scope.JOBS)
    told = [asked, content] if owner is None else [asked, content, owner]
    canonical = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()
