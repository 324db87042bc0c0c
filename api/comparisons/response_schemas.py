"""Answers of the routes under /compare, as the OpenAPI document describes them.

Times are Unix seconds, amounts US dollars, durations milliseconds.
"""

from pydantic import BaseModel, Field

from api.jobs.response_schemas import JobFailure, JobUrls
from broker.enums import JobState


class ComparisonCounts(BaseModel):
    """Numbers of jobs."""

    total: int = Field(description="The number of jobs: models times prompts.")
    ended: int = Field(description="The number of jobs that have ended.")


class ComparisonSummary(BaseModel):
    """The sums of one model."""

    model: str = Field(description="The slug of the model.")
    completed: int = Field(description="The number of answers.")
    failed: int = Field(description="The number of jobs that ended without an answer.")
    cost: float = Field(description="The cost of the answers.")
    mean_latency_ms: int = Field(description="The mean time to an answer; 0 without one.")
    prompt_tokens: int = Field(description="Tokens of the prompts, cached ones included.")
    completion_tokens: int = Field(description="Tokens of the answers.")


class ComparisonCell(BaseModel):
    """The answer of one model to one prompt."""

    model: str = Field(description="The slug of the model.")
    job_id: str = Field(description="The id of the job.")
    status: JobState = Field(description="The state of the job.")
    answer: str | None = Field(description="The text of the answer, or its tool calls as JSON.")
    error: JobFailure | None = Field(description="Why the job failed.")
    provider: str | None = Field(description="The provider that answered.")
    cost: float | None = Field(description="The cost; null while nothing was charged.")
    latency_ms: int | None = Field(description="The duration of the call.")
    first_token_ms: int | None = Field(description="The time to the first token of a stream.")
    prompt_tokens: int | None = Field(description="Tokens of the prompt, cached ones included.")
    completion_tokens: int | None = Field(description="Tokens of the answer.")
    urls: JobUrls = Field(description="Paths of the job.")


class ComparisonRow(BaseModel):
    """One prompt with the answers of all models."""

    prompt: str = Field(description="The last user message; JSON if it has several parts.")
    answers: list[ComparisonCell] = Field(description="The answers, in the order of `models`.")


class ComparisonUrls(BaseModel):
    """Paths of a comparison."""

    self: str = Field(description="The comparison.")


class Comparison(BaseModel):
    """The same prompts at several models, as far as they have been answered."""

    id: str = Field(description="The id of the comparison (`cmp_…`).")
    object: str = Field(description="`comparison`.")
    status: str = Field(description="`in_progress`, or `completed` when every job has ended.")
    created_at: float = Field(description="The time of submission.")
    counts: ComparisonCounts = Field(description="The numbers of jobs by their state.")
    models: list[ComparisonSummary] = Field(description="The sums of each model.")
    rows: list[ComparisonRow] = Field(description="The prompts with their answers.")
    urls: ComparisonUrls = Field(description="The paths of the comparison.")
