"""Rows of batches and of their lines. Pure."""

from typing import NamedTuple

from broker.enums import BatchState, Dialect, JobState, StopReason
from broker.requests.operations import Operation


class BatchRow(NamedTuple):
    """A row of `batches`. Times are Unix milliseconds."""

    id: str
    workspace_id: str
    api_key_id: str
    state: BatchState
    endpoint: Operation  # of lines that name none
    input_file_id: str
    completion_window: str  # 24h
    options: str  # JSON: `Options`
    cursor: int  # bytes of the input whose lines were read
    created_at: int
    expires_at: int
    dialect: Dialect | None = None  # of lines that name no URL
    inline: bool = False  # the requests were in the body of the HTTP request
    output_file_id: str | None = None
    error_file_id: str | None = None
    priority: int = 0
    max_concurrency: int | None = None
    max_cost_nanos: int | None = None
    webhook: str | None = None  # JSON {url, events}
    retry_of: str | None = None  # the batch whose failed lines these are
    idempotency_key: str | None = None
    fingerprint: str | None = None
    lines_read: int = 0  # lines up to the cursor
    lines_total: int = 0  # lines of the whole input
    stop_reason: StopReason | None = None
    waits_for: str | None = None  # why no further line becomes a job at present
    totals: str | None = None  # JSON: `BatchTotals`, once the batch has ended
    errors: str | None = None  # JSON list in OpenAI's form
    in_progress_at: int | None = None
    finalizing_at: int | None = None
    cancelling_at: int | None = None
    ended_at: int | None = None
    evaluation_id: str | None = None  # its lines are calls of this evaluation


class LineRow(NamedTuple):
    """A row of `batch_lines`, with the job of the line and its answer."""

    number: int  # of the line in the input, from 1
    custom_id: str | None
    refusal: str | None  # JSON {status, error}: why the line became no job
    job_id: str | None
    state: JobState | None
    error: str | None  # JSON: the error of the job
    operation: Operation | None
    response: bytes | None  # JSON
    dialect: Dialect | None = None  # of the answer
    model: str | None = None  # the model requested first
    created_at: int | None = None
    caller_body: bytes | None = None  # JSON: the body in the dialect
    ended_at: int | None = None
