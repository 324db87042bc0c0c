"""Every table. Times are Unix milliseconds, money is nano-dollars, JSON is text made by orjson.

Tables have no behaviour. Hot rows are narrow: a job's bodies live apart in `job_payloads`, so that
claiming, renewing a lease and recording never rewrite a prompt.
"""

from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel


def _big(*, nullable: bool = False) -> Any:
    return Column(BigInteger, nullable=nullable)


class Workspace(SQLModel, table=True):
    """A company or a department: owns keys, jobs and a balance."""

    __tablename__: ClassVar[Any] = "workspaces"

    id: str = Field(primary_key=True)  # ws_…
    name: str
    unlimited: bool = False  # holds and settlements are booked, but never refused
    created_at: int = Field(sa_column=_big())


class ApiKey(SQLModel, table=True):
    """A credential. The key itself is shown once and never stored."""

    __tablename__: ClassVar[Any] = "api_keys"

    id: str = Field(primary_key=True)  # key_…
    workspace_id: str = Field(foreign_key="workspaces.id", index=True)
    name: str
    label: str  # the key, masked
    hash: str = Field(unique=True)  # SHA-256 of the key, in hex
    disabled: bool = False
    created_at: int = Field(sa_column=_big())


class Job(SQLModel, table=True):
    """One customer request and its life. The state is written by `broker.lifecycle` only."""

    __tablename__: ClassVar[Any] = "jobs"
    __table_args__: ClassVar[Any] = (
        # The dispatcher's question: what is due?
        Index("ix_jobs_due", "state", "lane", "dispatch_at"),
        # A lost worker's jobs, and a caller's list, newest first.
        Index(
            "ix_jobs_lease",
            "lease_expires_at",
            sqlite_where=text("lease_expires_at IS NOT NULL"),
            postgresql_where=text("lease_expires_at IS NOT NULL"),
        ),
        Index("ix_jobs_workspace", "workspace_id", "id"),
        Index(
            "uq_jobs_idempotency",
            "workspace_id",
            "idempotency_key",
            unique=True,
            sqlite_where=text("idempotency_key IS NOT NULL"),
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
    )

    id: str = Field(primary_key=True)  # job_…
    workspace_id: str
    api_key_id: str
    state: str
    operation: str  # the API path the job stands for, e.g. /v1/chat/completions
    lane: str
    model: str  # the slug asked for first
    provider: str  # whose queue it is on now
    stream: bool = False  # the provider is asked for a stream and its events are kept
    position: int = 0  # place in the plan
    attempt: int = 0  # number of the latest attempt; the fence of every running update
    attempts_used: int = 0  # attempts that count against max_attempts
    tries_here: int = 0  # attempts in a row at this position
    max_attempts: int
    on_unknown: str
    available_at: int = Field(sa_column=_big())  # not to be claimed before
    dispatch_at: int = Field(sa_column=_big())  # when the dispatcher publishes it (again)
    deadline_at: int = Field(sa_column=_big())
    lease_owner: str | None = None  # the worker process that runs it
    lease_expires_at: int | None = Field(default=None, sa_column=_big(nullable=True))
    cancel_requested: bool = False
    idempotency_key: str | None = None
    fingerprint: str | None = None  # of the body that came with the idempotency key
    hold_nanos: int = Field(sa_column=_big())
    webhook: str | None = Field(default=None, sa_column=Column(Text))  # JSON: {url, events}
    error: str | None = Field(default=None, sa_column=Column(Text))  # JSON, once it ended badly
    created_at: int = Field(sa_column=_big())
    started_at: int | None = Field(default=None, sa_column=_big(nullable=True))
    ended_at: int | None = Field(default=None, sa_column=_big(nullable=True))


class JobPayload(SQLModel, table=True):
    """A job's bodies: written at submission and once at the end."""

    __tablename__: ClassVar[Any] = "job_payloads"

    job_id: str = Field(primary_key=True, foreign_key="jobs.id")
    request: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # the body, JSON
    plan: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # JSON, see routing
    extra: str | None = Field(default=None, sa_column=Column(Text))  # metadata and attribution
    response: bytes | None = Field(default=None, sa_column=Column(LargeBinary))  # the answer, JSON
    events: bytes | None = Field(
        default=None, sa_column=Column(LargeBinary)
    )  # a stream's log, zlib


class Attempt(SQLModel, table=True):
    """One try of a job on one endpoint, committed before its request is sent."""

    __tablename__: ClassVar[Any] = "attempts"

    job_id: str = Field(primary_key=True, foreign_key="jobs.id")
    number: int = Field(primary_key=True)
    provider: str
    model: str
    worker: str
    queued_ms: int  # from becoming available to being claimed
    started_at: int = Field(sa_column=_big())
    ended_at: int | None = Field(default=None, sa_column=_big(nullable=True))
    outcome: str | None = None  # None while it runs
    http_status: int | None = None
    error_type: str | None = None
    error_message: str | None = Field(default=None, sa_column=Column(Text))
    first_token_ms: int | None = None
    duration_ms: int | None = None
    upstream_id: str | None = None


class Generation(SQLModel, table=True):
    """What a job's successful attempt produced: usage and cost. One a job at most."""

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
    cost_nanos: int = Field(sa_column=_big())
    first_token_ms: int | None = None
    duration_ms: int
    created_at: int = Field(sa_column=_big())


class StoredFile(SQLModel, table=True):
    """Bytes that an answer refers to; they are in the file store under this id."""

    __tablename__: ClassVar[Any] = "files"

    id: str = Field(primary_key=True)  # file_…
    workspace_id: str
    job_id: str | None = Field(default=None, index=True)
    media_type: str
    bytes: int
    created_at: int = Field(sa_column=_big())


class WebhookEndpoint(SQLModel, table=True):
    """Where a workspace wants its events sent. Secrets are sealed (see `sealing`)."""

    __tablename__: ClassVar[Any] = "webhook_endpoints"

    id: str = Field(primary_key=True)  # whep_…
    workspace_id: str = Field(foreign_key="workspaces.id", index=True)
    url: str
    description: str = ""
    events: str = Field(sa_column=Column(Text, nullable=False))  # JSON list; empty = all
    payload: str  # thin | full
    scheme: str  # standard | openrouter
    signature: str  # v1 | v1a: what kind of secret it has
    secret: str
    public_key: str | None = None  # of a v1a secret: what its receiver verifies with
    previous_secret: str | None = None
    previous_until: int | None = Field(default=None, sa_column=_big(nullable=True))
    headers: str = Field(sa_column=Column(Text, nullable=False))  # sealed JSON, "" = none
    rate_limit: int | None = None  # deliveries a minute
    paced_until: int = Field(sa_column=_big())  # the moment of the next delivery it may be sent
    disabled: bool = False
    disabled_reason: str | None = None
    disabled_at: int | None = Field(default=None, sa_column=_big(nullable=True))
    failing_since: int | None = Field(default=None, sa_column=_big(nullable=True))
    created_at: int = Field(sa_column=_big())


class WebhookSecret(SQLModel, table=True):
    """What signs deliveries to the URLs that a workspace's jobs name. Sealed."""

    __tablename__: ClassVar[Any] = "webhook_secrets"

    workspace_id: str = Field(primary_key=True, foreign_key="workspaces.id")
    secret: str
    previous_secret: str | None = None
    previous_until: int | None = Field(default=None, sa_column=_big(nullable=True))
    created_at: int = Field(sa_column=_big())


class Delivery(SQLModel, table=True):
    """One event on its way to one receiver. Written by `broker.webhooks` only."""

    __tablename__: ClassVar[Any] = "deliveries"
    __table_args__: ClassVar[Any] = (
        # The dispatcher's question: to whom is something due, and how much is on its way?
        Index("ix_deliveries_due", "state", "dispatch_at", "receiver"),
        Index("ix_deliveries_receiver", "receiver", "state", "dispatch_at"),
        Index(
            "ix_deliveries_lease",
            "lease_expires_at",
            sqlite_where=text("lease_expires_at IS NOT NULL"),
            postgresql_where=text("lease_expires_at IS NOT NULL"),
        ),
        Index("ix_deliveries_workspace", "workspace_id", "id"),
        Index("ix_deliveries_subject", "subject_id"),
    )

    id: str = Field(primary_key=True)  # dlv_…
    event_id: str  # evt_…: the webhook-id, the same at every attempt and for every receiver
    workspace_id: str
    endpoint_id: str | None = None
    url: str | None = None  # of a job's own webhook; an endpoint has its own
    receiver: str  # endpoint or origin: those of one receiver share its concurrency
    event_type: str
    subject_id: str  # the job, batch or endpoint it is about
    payload: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    state: str  # pending | running | delivered | exhausted | cancelled
    attempt: int = 0  # number of the latest attempt; the fence of every running update
    failures: int = 0  # of this run through the schedule: the place in it
    next_at: int = Field(sa_column=_big())  # not to be claimed before
    dispatch_at: int = Field(sa_column=_big())  # when the dispatcher publishes it (again)
    lease_owner: str | None = None
    lease_expires_at: int | None = Field(default=None, sa_column=_big(nullable=True))
    created_at: int = Field(sa_column=_big())
    ended_at: int | None = Field(default=None, sa_column=_big(nullable=True))


class DeliveryAttempt(SQLModel, table=True):
    """One POST of a delivery, and what came back."""

    __tablename__: ClassVar[Any] = "delivery_attempts"

    delivery_id: str = Field(primary_key=True, foreign_key="deliveries.id")
    number: int = Field(primary_key=True)
    started_at: int = Field(sa_column=_big())
    duration_ms: int | None = None  # None where its worker was lost
    status: int | None = None  # HTTP
    error: str | None = Field(default=None, sa_column=Column(Text))
    body: str | None = Field(default=None, sa_column=Column(Text))  # the answer's, cut


class LedgerEntry(SQLModel, table=True):
    """One immutable signed amount. A workspace's balance is the sum of its entries."""

    __tablename__: ClassVar[Any] = "ledger_entries"
    __table_args__: ClassVar[Any] = (
        # A doubled hold, settle or release is refused by the database, not by care.
        Index(
            "uq_ledger_job_kind",
            "job_id",
            "kind",
            unique=True,
            sqlite_where=text("job_id IS NOT NULL"),
            postgresql_where=text("job_id IS NOT NULL"),
        ),
        # A job ends with a settle or a release, never with both.
        Index(
            "uq_ledger_job_end",
            "job_id",
            unique=True,
            sqlite_where=text("kind IN ('settle', 'release')"),
            postgresql_where=text("kind IN ('settle', 'release')"),
        ),
        Index("ix_ledger_workspace", "workspace_id", "amount_nanos"),
        CheckConstraint("kind IN ('hold', 'settle', 'release', 'grant')", name="ck_ledger_kind"),
    )

    id: str = Field(primary_key=True)  # led_…
    workspace_id: str = Field(foreign_key="workspaces.id")
    job_id: str | None = None
    kind: str  # hold (negative) | settle (hold less cost) | release (the hold) | grant
    amount_nanos: int = Field(sa_column=_big())
    created_at: int = Field(sa_column=_big())
