"""Answers of the routes under /jobs, as the OpenAPI document describes them.

Times are Unix seconds, amounts US dollars, durations milliseconds. Prices are US dollars as texts,
so that no digit is lost.
"""

from typing import Any

from pydantic import BaseModel, Field

from broker.enums import DialectPath, JobState, Kept, OnUnknown, Store
from broker.queues import Lane
from broker.requests.operations import Operation


class JobUrls(BaseModel):
    """Paths of a job."""

    self: str = Field(description="The job.")
    events: str = Field(description="The job's events.")
    cancel: str = Field(description="The route that cancels the job.")


class WaitingFor(BaseModel, extra="allow"):
    """The reason for which a queued job waits."""

    reason: str = Field(description="Why the job waits, e.g. `rate_limit`.")
    until: float | None = Field(description="The time when it is tried again, if that is known.")


class JobFailure(BaseModel, extra="allow"):
    """Why a job failed."""

    message: str = Field(description="What went wrong.")


class JobSummary(BaseModel):
    """A job as lists show it."""

    id: str = Field(description="The id of the job (`job_…`).")
    object: str = Field(description="`job`.")
    status: JobState = Field(description="The state of the job.")
    endpoint: Operation | DialectPath = Field(
        description="The path of the call: an operation, or a chat in another dialect."
    )
    model: str = Field(description="The slug of the requested model.")
    provider: str = Field(description="The provider of the current or last plan step.")
    lane: Lane = Field(description="The queue lane.")
    priority: int = Field(description="Jobs of a workspace with a higher priority start first.")
    stream: bool = Field(description="Whether the answer is streamed.")
    created_at: float = Field(description="The time of submission.")
    available_at: float = Field(description="The time from which the job may start.")
    deadline: float | None = Field(description="The time at which a job that waits expires.")
    started_at: float | None = Field(description="The start of the first attempt.")
    ended_at: float | None = Field(description="The time of the end.")
    attempt: int = Field(description="The number of the current or last attempt; 0 before it.")
    max_attempts: int = Field(description="The most attempts that the job may have.")
    on_unknown: OnUnknown = Field(description="What happens when a provider does not answer.")
    store: Store = Field(description="What is stored of the prompt and the answer.")
    kept: Kept | None = Field(
        description="What is still stored: null for everything, `result` without the prompt."
    )
    urls: JobUrls = Field(description="Paths of the job.")
    error: JobFailure | None = Field(
        None, description="Why the job failed; absent without an error."
    )
    waiting_for: WaitingFor | None = Field(None, description="What a queued job waits for.")


class ListedJob(JobSummary):
    """A job of a list, with its cost."""

    cost: float | None = Field(description="The cost; null while nothing was charged.")


class JobPage(BaseModel):
    """A page of jobs, newest first."""

    object: str = Field(description="`list`.")
    data: list[ListedJob] = Field(description="The jobs.")
    first_id: str | None = Field(description="The id of the first job of the page.")
    last_id: str | None = Field(description="The last id: `after` of the next page.")
    has_more: bool = Field(description="Whether there is a next page.")


class JobUsage(BaseModel, extra="allow"):
    """Tokens and cost of a job."""

    prompt_tokens: int = Field(description="Tokens of the prompt, cached ones included.")
    completion_tokens: int = Field(description="Tokens of the answer.")
    total_tokens: int = Field(description="The sum of both.")
    cost: float = Field(description="The cost that the workspace was charged.")
    is_byok: bool = Field(description="Whether a provider key of the workspace was used.")


class JobAttempt(BaseModel):
    """One attempt of a job."""

    number: int = Field(description="1 for the first attempt.")
    provider: str = Field(description="The provider that was called.")
    model: str = Field(description="The model that was called.")
    credential_id: str | None = Field(description="The provider key of the workspace, if one.")
    outcome: str | None = Field(description="How the attempt ended; null while it runs.")
    http_status: int | None = Field(description="The status that the provider answered.")
    error_type: str | None = Field(description="The type of the error.")
    error_message: str | None = Field(description="The message of the error.")
    worker: str | None = Field(description="The worker process that ran the attempt.")
    started_at: float | None = Field(description="The time of the start.")
    queued_ms: int | None = Field(description="The time that the job waited before the attempt.")
    first_token_ms: int | None = Field(description="The time to the first token of a stream.")
    duration_ms: int | None = Field(description="The time that the attempt took.")
    cost: float = Field(description="The cost of the attempt.")


class TokenPrices(BaseModel):
    """Prices per token. A kind of token without a price of its own is absent."""

    prompt: str = Field(description="A token of the prompt.")
    completion: str = Field(description="A token of the answer.")
    internal_reasoning: str | None = Field(None, description="A token of reasoning.")
    input_cache_read: str | None = Field(None, description="A token read from the prompt cache.")
    input_cache_write: str | None = Field(
        None, description="A token written to the prompt cache, for 5 minutes."
    )
    input_cache_write_1h: str | None = Field(
        None, description="A token written to the prompt cache, for an hour."
    )
    audio: str | None = Field(None, description="A token of sound in the prompt.")
    audio_output: str | None = Field(None, description="A token of sound in the answer.")
    image_token: str | None = Field(None, description="A token of an image in the prompt.")


class LongPromptPrices(TokenPrices):
    """Prices of calls with long prompts."""

    min_prompt_tokens: int = Field(description="The prompt tokens from which these prices apply.")


class CallPrices(TokenPrices):
    """Prices of a call."""

    request: str = Field(description="A call.")
    image: str = Field(description="An image of the prompt.")
    web_search: str | None = Field(None, description="A web search.")
    image_output: str | None = Field(None, description="An image of the answer.")
    overrides: list[LongPromptPrices] | None = Field(None, description="Prices of long prompts.")


class JobPlanStep(BaseModel):
    """An endpoint that a job may try."""

    provider: str = Field(description="The slug of the provider.")
    model: str = Field(description="The slug of the model.")
    native_model: str = Field(description="The provider's own name of the model.")
    reason: str = Field(description="Why the endpoint is at this position.")
    is_byok: bool = Field(description="Whether a provider key of the workspace is used.")
    pricing: CallPrices = Field(description="The prices of the endpoint.")


class ExcludedEndpoint(BaseModel):
    """An endpoint that a plan leaves out."""

    provider: str = Field(description="The slug of the provider.")
    model: str = Field(description="The slug of the model.")
    excluded_by: str = Field(description="The rule that excludes it.")
    detail: str = Field(description="The reason in words; may be empty.")


class JobRouting(BaseModel, extra="allow"):
    """The plan of a job, and how it was made."""

    strategy: str = Field(description="How the endpoints were ordered.")
    seed: int | None = Field(description="The seed of the random order.")
    excluded: list[ExcludedEndpoint] = Field(description="The endpoints that were left out.")
    notes: list[str] = Field(description="Remarks on the plan.")


class JobReceiver(BaseModel):
    """The webhook of a single job."""

    url: str = Field(description="The URL that deliveries are sent to.")
    events: list[str] = Field(description="The types of events; empty for all.")


class JobDelivery(BaseModel):
    """A webhook delivery about a job."""

    id: str = Field(description="The id of the delivery (`dlv_…`).")
    status: str = Field(description="The state of the delivery.")
    event_type: str = Field(description="The type of the event.")
    endpoint_id: str | None = Field(
        description="The id of the webhook endpoint; null for the webhook of the job."
    )
    url: str | None = Field(description="The URL of the job's own webhook.")
    attempt: int = Field(description="The number of attempts.")


class Job(JobSummary):
    """A job with its answer, its attempts and its plan."""

    queue_position: int | None = Field(description="Jobs ahead of it; null unless it is queued.")
    usage: JobUsage | None = Field(description="Tokens and cost, once something was charged.")
    attempts: list[JobAttempt] = Field(description="The attempts, in order.")
    plan: list[JobPlanStep] = Field(description="The endpoints to try, in order.")
    routing: JobRouting = Field(description="How the plan was made.")
    metadata: dict[str, str] = Field(description="The caller's own names and values.")
    coalesced_with: str | None = Field(description="The identical job that is called.")
    generation_id: str | None = Field(None, description="The id of the generation.")
    response: dict[str, Any] | None = Field(description="The answer of a completed job.")
    webhook: JobReceiver | None = Field(None, description="The job's own webhook.")
    deliveries: list[JobDelivery] | None = Field(
        None, description="Webhook deliveries about a job that has ended."
    )


class JobCancellation(BaseModel):
    """The cancellation of a running job."""

    await_usage: bool = Field(description="Whether the worker waits for the provider's usage.")
    seconds: float = Field(description="The most seconds that it waits.")


class CancelledJob(Job):
    """A job that was cancelled."""

    cancellation: JobCancellation | None = Field(None, description="How a running job is stopped.")


class DeletedJob(BaseModel):
    """The job whose content was deleted."""

    id: str = Field(description="The id of the job.")
    object: str = Field(description="`job`.")
    deleted: bool = Field(description="True.")


class QueueState(BaseModel):
    """The jobs of one provider and lane that have not ended."""

    provider: str = Field(description="The slug of the provider.")
    lane: Lane = Field(description="The queue lane.")
    waiting: int = Field(description="Jobs that may run, and have not started.")
    scheduled: int = Field(description="Jobs that may run at a later time.")
    running: int = Field(description="Jobs that a worker runs.")
    needs_review: int = Field(description="Jobs without an answer, which a person must decide on.")
    oldest_seconds: float = Field(description="The time for which the oldest waiting job waits.")


class QueueList(BaseModel):
    """The queues that have jobs, by provider and lane."""

    object: str = Field(description="`list`.")
    data: list[QueueState] = Field(description="The queues.")
    workers: int | None = Field(
        description="Worker processes of the installation that take jobs; null if it is unknown."
    )
