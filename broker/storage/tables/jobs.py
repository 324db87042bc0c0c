"""Jobs, payloads, attempts, generations, coalesced jobs. States: `broker.lifecycle` only."""

from typing import Any, ClassVar

from sqlalchemy import Column, Index, LargeBinary, Text, false
from sqlmodel import Field

from broker.completion import AttemptOutcome
from broker.enums import Dialect, JobState, Kept, OnUnknown, Store
from broker.requests.operations import Operation
from broker.storage.tables.columns import TableModel, big, enumeration, partial_index

_KEPT = "ended_at IS NOT NULL AND (kept IS NULL OR kept <> 'nothing')"
_PRIVATE = "store IS NOT NULL AND (kept IS NULL OR kept <> 'nothing')"


class Job(TableModel, table=True):
    """One customer request and its life. The state is written by `broker.lifecycle` only."""

    __tablename__: ClassVar[Any] = "jobs"
    __table_args__: ClassVar[Any] = (
        # The dispatcher's question: what is due?
        Index("ix_jobs_due", "state", "lane", "line", "dispatch_at"),
        # Its other question: of whom does something wait at a provider, and which is the oldest?
        partial_index(
            "ix_jobs_line",
            "provider",
            "lane",
            "line",
            "dispatch_at",
            where="line IS NOT NULL AND state IN ('queued', 'scheduled')",
        ),
        # Of the jobs for later, whose time has come?
        partial_index("ix_jobs_scheduled", "dispatch_at", where="state = 'scheduled'"),
        # Whose time is up while it waits?
        partial_index("ix_jobs_deadline", "deadline_at", where="state IN ('queued', 'scheduled')"),
        # A lost worker's jobs.
        partial_index("ix_jobs_lease", "lease_expires_at", where="lease_expires_at IS NOT NULL"),
        # A caller's list, newest first, with what it is filtered by; and its failed jobs.
        Index("ix_jobs_workspace", "workspace_id", "id", "model", "provider", "api_key_id", "app"),
        partial_index("ix_jobs_errors", "workspace_id", "id", where="error IS NOT NULL"),
        partial_index("ix_jobs_batch", "batch_id", "state", where="batch_id IS NOT NULL"),
        partial_index(
            "ix_jobs_session", "workspace_id", "session_id", "id", where="session_id IS NOT NULL"
        ),
        partial_index(
            "ix_jobs_end_user", "workspace_id", "end_user", "id", where="end_user IS NOT NULL"
        ),
        # Whose bodies are to be deleted, by age or by their own policy?
        partial_index("ix_jobs_kept", "workspace_id", "ended_at", where=_KEPT),
        partial_index("ix_jobs_private", "store", "kept", "ended_at", where=_PRIVATE),
        partial_index(
            "uq_jobs_idempotency",
            "workspace_id",
            "idempotency_key",
            where="idempotency_key IS NOT NULL",
            unique=True,
        ),
    )

    id: str = Field(primary_key=True)  # job_…
    workspace_id: str
    api_key_id: str
    state: JobState = Field(sa_column=enumeration(JobState))
    operation: Operation = Field(
        sa_column=enumeration(Operation)
    )  # the API path the job stands for, e.g. /v1/chat/completions
    dialect: Dialect | None = Field(  # of the caller's body and of the answers; None: operation's
        default=None, sa_column=enumeration(Dialect, nullable=True)
    )
    lane: str
    model: str  # the slug asked for first
    provider: str  # whose queue it is on now
    stream: bool = False  # the provider is asked for a stream and its events are kept
    position: int = 0  # place in the plan
    attempt: int = 0  # number of the latest attempt; the fence of every running update
    attempts_used: int = 0  # attempts that count against max_attempts
    tries_here: int = 0  # attempts in a row at this position
    max_attempts: int
    on_unknown: OnUnknown = Field(sa_column=enumeration(OnUnknown))
    available_at: int = Field(sa_column=big())  # not to be claimed before
    dispatch_at: int = Field(sa_column=big())  # when the dispatcher publishes it (again)
    deadline_at: int = Field(sa_column=big())
    lease_owner: str | None = None  # the worker process that runs it
    lease_expires_at: int | None = Field(default=None, sa_column=big(nullable=True))
    cancel_requested: bool = False
    idempotency_key: str | None = None
    fingerprint: str | None = None  # of the body that came with the idempotency key
    hold_nanos: int = Field(sa_column=big())
    ocr_nanos: int = Field(default=0, sa_column=big(default=0))  # what OCR of its documents cost
    batch_id: str | None = None  # the batch it is a line of
    priority: int = 0  # among the waiting jobs of one batch or workspace; higher goes first
    app: str | None = None  # the calling program, as it names itself
    end_user: str | None = None  # the `user` of the body
    session_id: str | None = None
    line: str | None = None  # the flow in which it waits; None: it is published when it is due
    waiting_for: str | None = Field(default=None, sa_column=Column(Text))  # JSON: why not sent yet
    waiting_since: int | None = Field(
        default=None, sa_column=big(nullable=True)
    )  # before deferrals
    coalesced_with: str | None = (
        None  # the job that makes the call this one shares; itself, perhaps
    )
    webhook: str | None = Field(default=None, sa_column=Column(Text))  # JSON: {url, events}
    store: Store | None = Field(  # what is kept of its bodies once it ended; None = everything
        default=None, sa_column=enumeration(Store, nullable=True)
    )
    kept: Kept | None = Field(  # what is still there of them; None = everything
        default=None, sa_column=enumeration(Kept, nullable=True)
    )
    fetched_at: int | None = Field(default=None, sa_column=big(nullable=True))  # if that ends it
    error: str | None = Field(default=None, sa_column=Column(Text))  # JSON, once it ended badly
    created_at: int = Field(sa_column=big())
    started_at: int | None = Field(default=None, sa_column=big(nullable=True))
    ended_at: int | None = Field(default=None, sa_column=big(nullable=True))


class JobPayload(TableModel, table=True):
    """A job's bodies: written at submission and once at the end."""

    __tablename__: ClassVar[Any] = "job_payloads"

    job_id: str = Field(primary_key=True, foreign_key="jobs.id")
    request: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # the body, JSON
    plan: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # JSON, see routing
    quotes: str | None = Field(default=None, sa_column=Column(Text))  # JSON: what each place holds
    caller_body: bytes | None = Field(  # JSON: the body before its translation from a dialect
        default=None, sa_column=Column(LargeBinary)
    )
    extra: str | None = Field(default=None, sa_column=Column(Text))  # metadata and attribution
    response: bytes | None = Field(default=None, sa_column=Column(LargeBinary))  # the answer, JSON
    events: bytes | None = Field(
        default=None, sa_column=Column(LargeBinary)
    )  # a stream's log, zlib


class Attempt(TableModel, table=True):
    """One try of a job on one endpoint, committed before its request is sent."""

    __tablename__: ClassVar[Any] = "attempts"

    job_id: str = Field(primary_key=True, foreign_key="jobs.id")
    number: int = Field(primary_key=True)
    provider: str
    model: str
    worker: str
    queued_ms: int  # from becoming available to being claimed
    started_at: int = Field(sa_column=big())
    ended_at: int | None = Field(default=None, sa_column=big(nullable=True))
    outcome: AttemptOutcome | None = Field(  # None while it runs
        default=None, sa_column=enumeration(AttemptOutcome, nullable=True)
    )
    http_status: int | None = None
    error_type: str | None = None
    error_message: str | None = Field(default=None, sa_column=Column(Text))
    first_token_ms: int | None = None
    duration_ms: int | None = None
    upstream_id: str | None = None
    background: str | None = Field(  # JSON: an answer that the provider makes in the background
        default=None, sa_column=Column(Text)
    )
    credential_id: str | None = None  # the workspace's own key; None = the installation's


class Generation(TableModel, table=True):
    """Usage and cost of a job's successful attempt; at most one for each job."""

    __tablename__: ClassVar[Any] = "generations"
    __table_args__: ClassVar[Any] = (Index("ix_generations_workspace", "workspace_id", "id"),)

    id: str = Field(primary_key=True)  # gen-…, derived from the job's id
    job_id: str = Field(foreign_key="jobs.id", unique=True)
    workspace_id: str
    attempt: int
    provider: str
    model: str
    upstream_id: str | None = None
    streamed: bool
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    usage_estimated: bool = False
    cost_nanos: int = Field(sa_column=big())  # what we charge
    is_byok: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    byok_cost_nanos: int = Field(default=0, sa_column=big(default=0))  # what it charged their key
    first_token_ms: int | None = None
    duration_ms: int
    created_at: int = Field(sa_column=big())


class CoalescedJob(TableModel, table=True):
    """A job that asked to be one call with its equals: it makes the call, or waits for its end."""

    __tablename__: ClassVar[Any] = "coalesced_jobs"
    __table_args__: ClassVar[Any] = (
        Index("ix_coalesced_jobs_call", "workspace_id", "fingerprint"),
        partial_index(
            "uq_coalesced_jobs_leader", "workspace_id", "fingerprint", where="leads", unique=True
        ),
    )

    job_id: str = Field(primary_key=True, foreign_key="jobs.id")
    workspace_id: str
    fingerprint: str  # of operation and body
    lane: str  # the job's own, should it come to lead
    leads: bool  # makes the call; the others of the same fingerprint wait for it
