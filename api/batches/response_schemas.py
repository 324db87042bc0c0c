"""Answers of the routes under /batches, as the OpenAPI document describes them.

Times are Unix seconds, amounts US dollars.
"""

from typing import Any

from pydantic import BaseModel, Field

from broker.batches import BatchState, OnError
from broker.enums import DialectPath
from broker.requests.operations import Operation


class BatchProblem(BaseModel):
    """A problem of a line of the input."""

    code: str = Field(description="The kind of the problem.")
    line: int | None = Field(None, description="The number of the line, from 1.")
    message: str = Field(description="What is wrong.")
    param: str | None = Field(None, description="The field that is wrong.")


class BatchProblemList(BaseModel):
    """The problems of the input of a batch."""

    object: str = Field(description="`list`.")
    data: list[BatchProblem] = Field(description="The problems, at most 100.")


class BatchError(BaseModel):
    """The first problem of a batch."""

    code: str = Field(description="The kind of the problem.")
    message: str = Field(description="What is wrong.")


class BatchCounts(BaseModel):
    """Numbers of lines."""

    total: int = Field(description="The lines of the input.")
    completed: int = Field(description="The lines with an answer.")
    failed: int = Field(description="The lines that ended without an answer.")
    running: int = Field(description="The lines that are running.")


class CachedTokens(BaseModel):
    """Tokens of prompts by kind."""

    cached_tokens: int = Field(description="Tokens that were read from prompt caches.")


class ReasoningTokens(BaseModel):
    """Tokens of answers by kind."""

    reasoning_tokens: int = Field(description="Tokens of reasoning.")


class UpstreamCost(BaseModel):
    """Costs that a provider charges the workspace directly."""

    upstream_inference_cost: float = Field(
        description="The cost of the calls with provider keys of the workspace."
    )


class BatchUsage(BaseModel):
    """Tokens and cost of all lines."""

    input_tokens: int = Field(description="Tokens of the prompts, cached ones included.")
    input_tokens_details: CachedTokens = Field(description="Tokens of the prompts by kind.")
    output_tokens: int = Field(description="Tokens of the answers.")
    output_tokens_details: ReasoningTokens = Field(description="Tokens of the answers by kind.")
    prompt_tokens: int = Field(description="The same as `input_tokens`.")
    completion_tokens: int = Field(description="The same as `output_tokens`.")
    total_tokens: int = Field(description="The sum of both.")
    cost: float = Field(description="The cost that the workspace was charged.")
    is_byok: bool = Field(description="Whether a line used a provider key of the workspace.")
    cost_details: UpstreamCost | None = Field(
        None, description="Costs with provider keys of the workspace, if one was used."
    )


class BatchLineResponse(BaseModel):
    """The answer to a line."""

    status_code: int = Field(description="The HTTP status that a call would have had.")
    request_id: str | None = Field(description="The id of the job; null for a refused line.")
    body: Any = Field(description="The answer of the operation, or an error.")


class BatchLineError(BaseModel):
    """Why a line has no answer."""

    code: str | int | None = Field(description="The kind of the error, or its HTTP status.")
    message: str = Field(description="What went wrong.")
    type: str | None = Field(None, description="The type of the error.")
    param: str | None = Field(None, description="The field that is wrong.")
    metadata: dict[str, Any] | None = Field(None, description="Details of the error.")
    error_type: str | None = Field(None, description="The type of the error.")


class BatchLineResult(BaseModel):
    """The result of a line."""

    id: str = Field(description="The id of the result (`batch_req_…`).")
    custom_id: str | None = Field(description="The `custom_id` of the line.")
    response: BatchLineResponse | None = Field(description="The answer; null for an error.")
    error: BatchLineError | None = Field(description="Why there is no answer.")


class Batch(BaseModel):
    """A batch: OpenAI's object with fields of OpenRouter's and of Waybill."""

    id: str = Field(description="The id of the batch (`batch_…`).")
    object: str = Field(description="`batch`.")
    endpoint: Operation | DialectPath = Field(
        description="The path of lines that name none: an operation, or a chat in another dialect."
    )
    model: str = Field(description="The model of lines that name none; empty without one.")
    provider: str | None = Field(description="Null: each line has its own plan.")
    errors: BatchProblemList | None = Field(description="Why the batch failed or stopped.")
    input_file_id: str = Field(description="The file with the requests.")
    completion_window: str = Field(description="The time that the batch may take, e.g. `24h`.")
    status: BatchState = Field(description="The state of the batch.")
    output_file_id: str | None = Field(description="The file with the answers.")
    error_file_id: str | None = Field(description="The file with the errors.")
    created_at: float = Field(description="The time of submission.")
    in_progress_at: float | None = Field(description="The time when the first line was read.")
    expires_at: float | None = Field(description="The end of the completion window.")
    finalizing_at: float | None = Field(description="The time when the last line ended.")
    cancelling_at: float | None = Field(description="The time when it was stopped.")
    completed_at: float | None = Field(description="The time of the end, if it is `completed`.")
    failed_at: float | None = Field(description="The time of the end, if it is `failed`.")
    expired_at: float | None = Field(description="The time of the end, if it is `expired`.")
    cancelled_at: float | None = Field(description="The time of the end, if it is `cancelled`.")
    finalized_at: float | None = Field(description="The time of the end.")
    request_counts: BatchCounts = Field(description="The numbers of lines by their state.")
    usage: BatchUsage = Field(description="The usage of all lines.")
    metadata: dict[str, str] | None = Field(description="The caller's own names and values.")
    priority: int = Field(description="Among the jobs of a workspace: higher numbers start first.")
    max_concurrency: int | None = Field(description="The most lines that run at the same time.")
    max_cost: float | None = Field(description="The most that the batch may cost.")
    on_error: OnError = Field(description="What happens when a line fails.")
    dedupe: bool = Field(description="Whether identical lines share one call.")
    service_tier: str | None = Field(description="The service tier of lines that name none.")
    stop_reason: str | None = Field(description="Why the batch stopped before all lines ended.")
    waits_for: str | None = Field(description="Why no further line starts at the moment.")
    retry_of: str | None = Field(description="The batch whose failed lines this one repeats.")
    results: list[BatchLineResult] | None = Field(
        description="Results of lines that have ended, where the request includes them."
    )
    error: BatchError | None = Field(description="The first of `errors`.")


class BatchWithResults(Batch):
    """A batch, with a page of its results where the request includes them."""

    has_more: bool | None = Field(None, description="Whether there are more results.")
    last_line: int | None = Field(
        None, description="The number of the last line of the page: `after` of the next page."
    )
    complete_until: float | None = Field(
        None, description="`ended_after` of a later request for new results."
    )


class BatchList(BaseModel):
    """A page of batches, newest first."""

    object: str = Field(description="`list`.")
    data: list[Batch] = Field(description="The batches.")
    first_id: str | None = Field(description="The id of the first batch of the page.")
    last_id: str | None = Field(description="The last id: `after` of the next page.")
    has_more: bool = Field(description="Whether there is a next page.")


class BatchDeletion(BaseModel):
    """OpenRouter's form of a deletion."""

    openrouter: str = Field(description="`deleted`.")


class DeletedBatch(BaseModel):
    """The batch that was deleted."""

    id: str = Field(description="The id of the batch.")
    object: str = Field(description="`batch`.")
    deleted: bool = Field(description="True.")
    deletion: BatchDeletion = Field(description="OpenRouter's form of the same.")


class ForecastCounts(BaseModel):
    """Numbers of lines of an input."""

    total: int = Field(description="The lines of the input.")
    valid: int = Field(description="The lines that could run.")
    invalid: int = Field(description="The lines that would be refused.")


class ForecastCost(BaseModel):
    """Costs of a batch that does not run."""

    likely: float = Field(description="The likely cost.")
    most: float = Field(description="The highest possible cost.")
    cap: float = Field(description="The `max_cost` with which no line would wait.")


class ForecastModel(BaseModel):
    """The lines of one model."""

    requests: int = Field(description="The number of lines.")
    most: float = Field(description="The highest possible cost.")


class BatchForecast(BaseModel):
    """The answer to `dry_run`: nothing was written."""

    object: str = Field(description="`batch.forecast`.")
    dry_run: bool = Field(description="True.")
    request_counts: ForecastCounts = Field(description="The numbers of lines by their state.")
    errors: BatchProblemList = Field(description="What is wrong with invalid lines.")
    cost: ForecastCost = Field(description="The costs.")
    models: dict[str, ForecastModel] = Field(description="The lines of each model, by its slug.")
    estimated_seconds: float = Field(description="The estimated duration in seconds.")
