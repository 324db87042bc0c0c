"""A new batch: check its input file and insert the batch. Its lines are submitted later."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import orjson
from sqlalchemy import Connection, insert, select

from broker.accounts import Principal, Scope
from broker.batches.options import MAX_BYTES, MAX_LINES, OPEN, Options, window_ms
from broker.batches.rows import BatchRow
from broker.completion import Json
from broker.enums import BatchState, Dialect, FilePurpose
from broker.errors import IdempotencyMismatchError, InvalidRequestError
from broker.ids import new_id
from broker.requests.operations import Operation
from broker.storage import files
from broker.storage.files import FileRow
from broker.storage.tables import Batch, StoredFile, columns, table

_batches = table(Batch)
_files = table(StoredFile)
_SELECT_FILES = select(*columns(FileRow, _files))
_OPEN = [state.value for state in OPEN]


def usable_lines(file: FileRow | None, now: int) -> int:
    """Return the number of requests in a batch's input. Raises InvalidRequestError."""
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
    return file.lines or 0


def check_size(size: int, lines: int, *, param: str = "input_file_id") -> None:
    """Raise InvalidRequestError for an input that is empty or too large for one batch."""
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


def _lock_input(connection: Connection, file_id: str, workspace_id: str) -> FileRow | None:
    """Return a workspace's file, which cannot be deleted until the transaction ends."""
    row = connection.execute(
        _SELECT_FILES.where(
            _files.c.id == file_id, _files.c.workspace_id == workspace_id
        ).with_for_update(read=True)
    ).first()
    return None if row is None else FileRow(*row)


def find_input(connection: Connection, file_id: str) -> FileRow | None:
    """Return the input file of a batch, or None if it was deleted."""
    row = connection.execute(_SELECT_FILES.where(_files.c.id == file_id)).first()
    return None if row is None else FileRow(*row)


def delete_files_many(connection: Connection, file_ids: Sequence[str]) -> Sequence[bool]:
    """Delete rows of files; return False for a file that an open batch reads.

    The caller deletes the bytes after the commit. A batch that is created at the same time waits
    for this transaction, and is refused then.
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
    dialect: Dialect | None = None
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
    """A batch to insert, and its input file if that is to be inserted, too."""

    row: BatchRow
    own_file: FileRow | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """The id of a batch that was created now or earlier."""

    batch_id: str
    replayed: bool  # it was created by an earlier request with the same idempotency key


def new_batch(
    options: BatchOptions,
    principal: Principal,
    now: int,
    *,
    input_file_id: str,
    content: str | None = None,
    inline: bool = False,
) -> NewBatch:
    """Return the batch to insert.

    `content` identifies the input if its file is new, so that a repeated request can be recognized.
    """
    row = BatchRow(
        id=new_id("batch_"),
        workspace_id=principal.workspace_id,
        api_key_id=principal.api_key_id,
        state=BatchState.VALIDATING,
        endpoint=options.endpoint,
        dialect=options.dialect,
        input_file_id=input_file_id,
        inline=inline,
        completion_window=options.completion_window,
        options=orjson.dumps(_encode_options(options.options)).decode(),
        priority=options.priority,
        max_concurrency=options.max_concurrency,
        max_cost_nanos=options.max_cost_nanos,
        webhook=options.webhook,
        retry_of=options.retry_of,
        idempotency_key=options.idempotency_key,
        fingerprint=_fingerprint(options, content or input_file_id, principal),
        cursor=0,
        created_at=now,
        expires_at=now + window_ms(options.completion_window),
    )
    return NewBatch(row)


def insert_batch(connection: Connection, new: NewBatch) -> Created:
    """Insert a batch; a known idempotency key gives the earlier batch instead.

    Raises WaybillError for a batch that is refused.
    """
    row = new.row
    if (known := find_earlier_batch(connection, row)) is not None:
        return known
    if new.own_file is not None:
        connection.execute(insert(_files), [new.own_file._asdict()])
    file = _lock_input(connection, row.input_file_id, row.workspace_id)
    lines = usable_lines(file, row.created_at)
    connection.execute(_INSERT, [row._replace(lines_total=lines)._asdict()])
    return Created(row.id, replayed=False)


def find_earlier_batch(connection: Connection, row: BatchRow) -> Created | None:
    """Return the batch that an earlier request with the same idempotency key created.

    Raises IdempotencyMismatchError if that was another request.
    """
    if row.idempotency_key is None:
        return None
    known = connection.execute(
        select(_batches.c.id, _batches.c.fingerprint).where(
            _batches.c.workspace_id == row.workspace_id,
            _batches.c.idempotency_key == row.idempotency_key,
        )
    ).first()
    if known is None:
        return None
    if known.fingerprint != row.fingerprint:
        raise IdempotencyMismatchError(
            f"Idempotency-Key {row.idempotency_key!r} was used with another request (batch "
            f"{known.id}): send the same to get that batch, or another key for a new one.",
            param="Idempotency-Key",
        )
    return Created(known.id, replayed=True)


def _encode_options(options: Options) -> Json:
    """Return options as they are stored; without newer ones, the previous version reads them."""
    encoded = asdict(options)
    if options.cache_ttl_seconds is None:
        del encoded["cache_ttl_seconds"]
    return encoded


def _fingerprint(options: BatchOptions, content: str, principal: Principal) -> str:
    """Return a digest of the request, by which a repeated request is recognized.

    It contains the key if that sees only its own batches.
    """
    request = asdict(options) | {"idempotency_key": None}
    request["options"] = _encode_options(options.options)
    if options.dialect is None:  # then the digest is that of the previous version
        del request["dialect"]
    owner = principal.owner_filter(Scope.JOBS)
    identity = [request, content] if owner is None else [request, content, owner]
    canonical = orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()
