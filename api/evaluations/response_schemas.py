"""Answers of the routes under /evaluations, as the OpenAPI document describes them.

Times are Unix seconds, amounts US dollars, durations milliseconds.
"""

from typing import Any

from pydantic import BaseModel, Field

from api.comparisons.response_schemas import ComparisonCell
from broker.enums import StopReason
from broker.evaluations.figures import Summary
from broker.evaluations.specification import Specification


class CallCounts(BaseModel):
    """The calls of a stage of an evaluation."""

    total: int = Field(description="The number of calls; the most that it can be at first.")
    completed: int = Field(description="The calls with an answer.")
    failed: int = Field(description="The calls that ended without an answer.")
    cost: float = Field(description="The cost of the answers.")


class EvaluationUrls(BaseModel):
    """Paths of an evaluation."""

    self: str = Field(description="The evaluation.")
    results: str = Field(description="The answers and grades of all cells.")


class EvaluationView(BaseModel):
    """An evaluation; the summary comes when it has ended."""

    id: str = Field(description="The id of the evaluation (`eval_…`).")
    object: str = Field(description="`evaluation`.")
    name: str | None = Field(description="Your own name of the evaluation.")
    status: str = Field(
        description="`preparing`, `answering`, `judging`, `grading`, `cancelling`, or at the end "
        "`completed`, `cancelled`, `expired` or `failed`."
    )
    stop_reason: StopReason | None = Field(description="Why it ended before all calls were made.")
    is_replay: bool = Field(description="Whether the prompts are those of past jobs.")
    specification: Specification = Field(description="What was requested, without the prompts.")
    columns: list[str] = Field(description="The names of the columns.")
    baseline: str = Field(description="The column with which the others are compared.")
    prompts: int = Field(description="The number of prompts.")
    prompts_graded: int = Field(description="The number of prompts whose answers are graded.")
    answers: CallCounts = Field(description="The calls of the compared models.")
    judging: CallCounts = Field(description="The calls of the graders.")
    cost: float = Field(description="The cost of all calls.")
    max_cost: float | None = Field(description="The most that all calls may cost.")
    created_at: float = Field(description="The time of submission.")
    expires_at: float = Field(description="The end of the completion window.")
    ended_at: float | None = Field(description="The time of the end.")
    summary: Summary | None = Field(description="The figures; null before the end.")
    urls: EvaluationUrls = Field(description="The paths of the evaluation.")


class EvaluationList(BaseModel):
    """A page of evaluations, newest first."""

    object: str = Field(description="`list`.")
    data: list[EvaluationView] = Field(description="The evaluations.")
    first_id: str | None = Field(description="The id of the first one.")
    last_id: str | None = Field(description="The id of the last one.")
    has_more: bool = Field(description="Whether there are older ones.")


class GradeView(BaseModel):
    """The grade of one answer by one grader."""

    score: float | None = Field(description="The score, from 0 to 1; null without a grade.")
    passed: bool | None = Field(description="Whether it passed; null if the grader only scores.")
    reason: str | None = Field(description="The reason that the grader gave.")
    error: str | None = Field(description="Why there is no grade.")
    choices: list[str] = Field(
        description="Of a pairwise judge: its choices with the baseline first, and second."
    )


class EvaluationCellError(BaseModel, extra="allow"):
    """Why a cell became no job."""

    message: str = Field(description="What was wrong.")


class EvaluationResult(BaseModel):
    """The answer of one column to one prompt in one sample."""

    prompt_number: int = Field(description="The number of the prompt, from 1.")
    prompt_id: str | None = Field(description="Your own id of the prompt.")
    prompt: str = Field(description="The last user message; JSON if it has several parts.")
    expected: Any = Field(description="The expected answer, or the list of them.")
    metadata: dict[str, Any] | None = Field(description="Your own values of the prompt.")
    recorded_job_id: str | None = Field(description="The past job that is replayed.")
    column: str = Field(description="The name of the column.")
    sample: int = Field(description="The number of the sample, from 1.")
    status: str = Field(
        description="The state of the job; `waiting` before there is one, `refused` without one."
    )
    outcome: str | None = Field(
        description="`answered`, `refused` by the model, or `failed`; null before the end."
    )
    answer: ComparisonCell | None = Field(description="The job and its answer.")
    error: EvaluationCellError | None = Field(description="Why the cell became no job.")
    grades: dict[str, GradeView] = Field(description="The grades, by the names of the graders.")


class EvaluationResults(BaseModel):
    """A page of results, in the order of the prompts."""

    object: str = Field(description="`list`.")
    data: list[EvaluationResult] = Field(description="The cells of some prompts.")
    last_prompt: int = Field(description="The number of the last prompt of the page.")
    has_more: bool = Field(description="Whether there are further prompts.")


class DeletedEvaluation(BaseModel):
    """The confirmation of a deletion."""

    id: str = Field(description="The id of the evaluation.")
    object: str = Field(description="`evaluation`.")
    deleted: bool = Field(description="`true`.")
