"""Types of a submission: the options of a job, the decisions about it, and the result."""

from collections.abc import Sequence
from dataclasses import field
from typing import TypedDict

from broker.billing.funds import Payer
from broker.completion import Json
from broker.enums import Dialect, OnUnknown
from broker.errors import WaybillError
from broker.queues import Lane
from broker.rate_limits import RateLimit
from broker.requests.operations import Operation
from broker.submission.quotes import Quotes
from broker.values import immutable


@immutable
class JobOptions:
    """The options of a job besides its body. Times are Unix milliseconds."""

    operation: Operation = Operation.CHAT
    lane: Lane = Lane.INTERACTIVE
    idempotency_key: str | None = None
    not_before: int | None = None
    deadline: int | None = None
    max_attempts: int | None = None
    max_cost_nanos: int | None = None
    on_unknown: OnUnknown = OnUnknown.RETRY
    webhook: str | None = None  # JSON {url, events}, see `webhooks.build_job_webhook`
    batch_id: str | None = None
    priority: int = 0  # higher goes first
    session_id: str | None = None  # the body's `session_id` has precedence
    app: str | None = None  # the calling program
    store: str | None = None  # what is stored of it, see `privacy`
    origin: Json = field(default_factory=dict)  # the headers that name its origin
    streams: bool = False  # the answer is passed on as it comes, whatever the body says
    coalesce: bool = False  # share one call with identical jobs, see `coalescing`
    extra: Json = field(default_factory=dict)  # metadata, returned unchanged
    dialect: Dialect | None = None  # of the caller's body and of the answers
    caller_body: Json | None = None  # the body before its translation from that dialect
    is_instructed: bool = False  # the first message is for this request only
    asked: Json | None = None  # the body before a preset was merged into it
    preset: str | None = None  # the slug of the preset that was merged into the body
    preset_prompt: bool = (
        False  # the first message is a preset's prompt, not visible to every reader
    )


class Schedule(TypedDict):
    """The times at which a job may run and at which the dispatcher checks it."""

    state: str
    available_at: int
    dispatch_at: int
    deadline_at: int


class JobColumns(Schedule):
    """The columns of `jobs` that a submission decides."""

    id: str
    workspace_id: str
    api_key_id: str
    operation: str
    dialect: str | None
    lane: str
    model: str
    provider: str
    stream: bool
    position: int
    attempt: int
    attempts_used: int
    tries_here: int
    max_attempts: int
    on_unknown: str
    cancel_requested: bool
    hold_nanos: int
    batch_id: str | None
    priority: int
    app: str | None
    end_user: str | None
    session_id: str | None
    line: str | None
    webhook: str | None
    coalesced_with: str | None
    store: str | None
    idempotency_key: str | None
    fingerprint: str | None
    created_at: int


class PayloadColumns(TypedDict):
    """The columns of `job_payloads` that a submission writes."""

    job_id: str
    request: bytes
    plan: bytes
    quotes: str  # JSON
    caller_body: bytes | None
    extra: str | None


@immutable
class NewJob:
    """A job that is ready to be inserted."""

    row: JobColumns
    payload: PayloadColumns
    payer: Payer
    held_for: Quotes
    least_nanos: int = 0  # the probable cost; the row has the upper bound
    limits: Sequence[RateLimit] = ()  # the limits that count it
    is_free: bool = False  # a free model is requested or in the plan
    unread: Sequence[str] = ()  # fields of the caller that the first endpoint does not read
    shares: str | None = None  # fingerprint for coalescing
    refusal: WaybillError | None = None  # the error if no earlier job has its key

    @property
    def id(self) -> str:
        return self.row["id"]

    @property
    def provider(self) -> str:
        return self.row["provider"]


@immutable
class Submitted:
    """The result of a submission."""

    job_id: str
    replayed: bool  # True: this is the earlier job with the idempotency key
    follows: str | None = None  # the primary whose answer it waits for; do not publish it
