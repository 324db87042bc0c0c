"""Batches and their lines; native batches at providers and their jobs."""

from typing import Any, ClassVar

from sqlalchemy import Column, Index, Text
from sqlmodel import Field

from broker.enums import BatchState, Dialect, NativeBatchState, StopReason
from broker.requests.operations import Operation
from broker.storage.tables.columns import TableModel, big, enumeration, partial_index

_OPEN = "state IN ('validating', 'in_progress', 'finalizing', 'cancelling')"
_IN_DIALECT = "dialect IS NOT NULL"
_KEYED = "idempotency_key IS NOT NULL"
_DIGESTED = "digest IS NOT NULL"


class Batch(TableModel, table=True):
    """A file of requests and what became of it. The state is written by `broker.batches` only."""

    __tablename__: ClassVar[Any] = "batches"
    __table_args__: ClassVar[Any] = (
        Index("ix_batches_workspace", "workspace_id", "id"),
        partial_index("ix_batches_open", "state", where=_OPEN),
        partial_index("ix_batches_dialect", "workspace_id", "dialect", "id", where=_IN_DIALECT),
        partial_index(
            "uq_batches_idempotency", "workspace_id", "idempotency_key", where=_KEYED, unique=True
        ),
    )

    id: str = Field(primary_key=True)  # batch_…
    workspace_id: str
    api_key_id: str
    state: BatchState = Field(sa_column=enumeration(BatchState))
    endpoint: Operation = Field(sa_column=enumeration(Operation))  # of lines that name none
    dialect: Dialect | None = Field(  # of lines that name no URL, and of the lists that show it
        default=None, sa_column=enumeration(Dialect, nullable=True)
    )
    input_file_id: str
    inline: bool = False  # the requests came in the body: so do the results
    output_file_id: str | None = None
    error_file_id: str | None = None
    completion_window: str  # as it was asked, e.g. 24h
    options: str = Field(sa_column=Column(Text, nullable=False))  # JSON, see `batches.Options`
    priority: int = 0  # higher goes first among the batches of a workspace
    max_concurrency: int | None = None  # lines in flight at a time
    max_cost_nanos: int | None = Field(default=None, sa_column=big(nullable=True))
    webhook: str | None = Field(default=None, sa_column=Column(Text))  # JSON: {url, events}
    retry_of: str | None = None  # the batch whose failed lines these are
    evaluation_id: str | None = None  # its lines are cells or judgements of this evaluation
    idempotency_key: str | None = None
    fingerprint: str | None = None
    cursor: int = Field(sa_column=big())  # bytes of the input that have become lines
    lines_read: int = 0  # lines of the input, up to the cursor
    lines_total: int = 0  # lines of the whole input
    stop_reason: StopReason | None = Field(  # why it ends early
        default=None, sa_column=enumeration(StopReason, nullable=True)
    )
    waits_for: str | None = None  # why no further line is taken in at present
    totals: str | None = Field(default=None, sa_column=Column(Text))  # JSON, once it has ended
    errors: str | None = Field(default=None, sa_column=Column(Text))  # JSON list, OpenAI's shape
    created_at: int = Field(sa_column=big())
    expires_at: int = Field(sa_column=big())
    in_progress_at: int | None = Field(default=None, sa_column=big(nullable=True))
    finalizing_at: int | None = Field(default=None, sa_column=big(nullable=True))
    cancelling_at: int | None = Field(default=None, sa_column=big(nullable=True))
    ended_at: int | None = Field(default=None, sa_column=big(nullable=True))


class BatchLine(TableModel, table=True):
    """One line of a batch: the job it became, or why it became none."""

    __tablename__: ClassVar[Any] = "batch_lines"
    __table_args__: ClassVar[Any] = (
        Index("uq_batch_lines_custom_id", "batch_id", "custom_id", unique=True),
        partial_index("ix_batch_lines_digest", "batch_id", "digest", where=_DIGESTED),
    )

    batch_id: str = Field(primary_key=True, foreign_key="batches.id")
    number: int = Field(primary_key=True)  # of the line in the input, from 1
    custom_id: str | None = None  # None: the line could not be read that far
    job_id: str | None = None  # several lines share one where the batch asked for `dedupe`
    digest: str | None = None  # of what is asked, where the batch asked for `dedupe`
    error: str | None = Field(default=None, sa_column=Column(Text))  # JSON {status, error}


_OPEN_NATIVE = "state IN ('submitting', 'creating', 'running', 'in_doubt')"


class NativeBatch(TableModel, table=True):
    """One batch at a provider, from the intention to the last line booked."""

    __tablename__: ClassVar[Any] = "native_batches"
    __table_args__: ClassVar[Any] = (
        partial_index("ix_native_batches_due", "next_poll_at", where=_OPEN_NATIVE),
    )

    id: str = Field(primary_key=True)  # nb_…; also the marker that the provider is sent
    provider: str
    native_model: str
    operation: Operation = Field(sa_column=enumeration(Operation))
    state: NativeBatchState = Field(sa_column=enumeration(NativeBatchState))
    lines: int  # jobs it was made of
    upstream_id: str | None = None  # the provider's name for it, once we know it
    input_file_id: str | None = None
    guessed: bool = False  # found again without our marker: it may be somebody else's
    create_sent_at: int | None = Field(default=None, sa_column=big(nullable=True))
    completed: int = 0  # lines with an answer, as the provider counts while it runs
    failed: int = 0
    polls: int = 0  # looks in a row: they become rarer
    next_poll_at: int = Field(sa_column=big())
    give_up_at: int = Field(sa_column=big())  # what has not been answered by then goes elsewhere
    cancel_sent: bool = False
    lease_owner: str | None = None  # who takes its next step
    lease_expires_at: int | None = Field(default=None, sa_column=big(nullable=True))
    error: str | None = Field(default=None, sa_column=Column(Text))
    created_at: int = Field(sa_column=big())
    ended_at: int | None = Field(default=None, sa_column=big(nullable=True))


class NativeLine(TableModel, table=True):
    """A job's attempt that was made as a line of a provider's batch."""

    __tablename__: ClassVar[Any] = "native_lines"

    native_batch_id: str = Field(primary_key=True, foreign_key="native_batches.id")
    job_id: str = Field(primary_key=True, foreign_key="jobs.id")
    attempt: int
