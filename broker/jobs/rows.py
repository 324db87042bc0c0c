"""Rows of jobs as their owners read them. Times are Unix milliseconds. Pure."""

from typing import NamedTuple

from broker.completion import AttemptOutcome
from broker.enums import Dialect, JobState, Kept, OnUnknown, Store
from broker.requests.operations import Operation


class JobRow(NamedTuple):
    """A row of `jobs`, without the columns that only dispatching and leases use."""

    id: str
    workspace_id: str
    api_key_id: str
    state: JobState
    operation: Operation
    lane: str
    model: str  # the model requested first
    provider: str  # the provider in whose queue the job is
    stream: bool
    attempt: int  # number of the latest attempt
    max_attempts: int
    on_unknown: OnUnknown
    available_at: int
    deadline_at: int
    hold_nanos: int
    priority: int
    created_at: int
    dialect: Dialect | None = None  # None: the operation's own
    app: str | None = None
    end_user: str | None = None
    session_id: str | None = None
    waiting_for: str | None = None  # JSON: why the job is not sent yet
    coalesced_with: str | None = None  # the job that makes the shared call; perhaps itself
    webhook: str | None = None  # JSON {url, events}
    store: Store | None = None  # None = everything
    kept: Kept | None = None  # None = everything
    ocr_nanos: int = 0  # the part of the cost for OCR of its documents
    error: str | None = None  # JSON
    started_at: int | None = None
    ended_at: int | None = None


class JobPayloadRow(NamedTuple):
    """A row of `job_payloads`, without the event log, which is read a page at a time."""

    job_id: str
    request: bytes  # JSON; empty once deleted
    plan: bytes  # JSON: `Plan`
    extra: str | None  # JSON: metadata and attribution
    response: bytes | None  # JSON
    has_log: bool  # the events of a stream are stored
    caller_body: bytes | None = None  # JSON: the body in the job's dialect; None once deleted


class JobAttemptRow(NamedTuple):
    """A row of `attempts`."""

    job_id: str
    number: int  # from 1
    provider: str
    model: str
    worker: str
    queued_ms: int
    started_at: int
    ended_at: int | None = None
    outcome: AttemptOutcome | None = None  # None while it runs
    http_status: int | None = None
    error_type: str | None = None
    error_message: str | None = None
    first_token_ms: int | None = None
    duration_ms: int | None = None
    upstream_id: str | None = None
    credential_id: str | None = None  # the workspace's own key; None = the installation's


class ListedJobRow(NamedTuple):
    """A job in a list."""

    job: JobRow
    cost_nanos: int | None  # None while nothing was charged


class OpenJobCount(NamedTuple):
    """The number of jobs of one kind that have not ended."""

    provider: str
    lane: str
    state: JobState
    jobs: int
    oldest_due: int  # the earliest first due time


class EndedJobCount(NamedTuple):
    """The number of jobs of one kind that have ended."""

    provider: str
    lane: str
    state: JobState
    jobs: int
