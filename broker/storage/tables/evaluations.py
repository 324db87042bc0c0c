"""Evaluations: their prompts, and the grades of their cells."""

from typing import Any, ClassVar

from sqlalchemy import Column, Index, Text
from sqlmodel import Field

from broker.enums import EvaluationState, StopReason
from broker.storage.tables.columns import TableModel, big, enumeration, partial_index

_OPEN = "state IN ('preparing', 'answering', 'judging', 'grading')"
_RECORDED = "recorded_job_id IS NOT NULL"
_KEYED = "idempotency_key IS NOT NULL"


class Evaluation(TableModel, table=True):
    """The same prompts at several models, graded. `broker.evaluations` alone writes the state."""

    __tablename__: ClassVar[Any] = "evaluations"
    __table_args__: ClassVar[Any] = (
        Index("ix_evaluations_workspace", "workspace_id", "id"),
        partial_index("ix_evaluations_open", "state", where=_OPEN),
        partial_index(
            "uq_evaluations_idempotency",
            "workspace_id",
            "idempotency_key",
            where=_KEYED,
            unique=True,
        ),
    )

    id: str = Field(primary_key=True)  # eval_…
    workspace_id: str
    api_key_id: str
    state: EvaluationState = Field(sa_column=enumeration(EvaluationState))
    name: str | None = None
    specification: str = Field(sa_column=Column(Text, nullable=False))  # JSON: `Specification`
    is_replay: bool = False  # the first column has the recorded answers of past jobs
    prompts_total: int
    prompts_graded: int = 0  # the cursor of the state `grading`
    answers_batch_id: str | None = None
    judging_batch_id: str | None = None
    max_cost_nanos: int | None = Field(default=None, sa_column=big(nullable=True))
    idempotency_key: str | None = None
    fingerprint: str | None = None
    stop_reason: StopReason | None = Field(
        default=None, sa_column=enumeration(StopReason, nullable=True)
    )
    summary: str | None = Field(default=None, sa_column=Column(Text))  # JSON, once it has ended
    created_at: int = Field(sa_column=big())
    expires_at: int = Field(sa_column=big())
    ended_at: int | None = Field(default=None, sa_column=big(nullable=True))


class EvaluationPrompt(TableModel, table=True):
    """One prompt of an evaluation."""

    __tablename__: ClassVar[Any] = "evaluation_prompts"
    __table_args__: ClassVar[Any] = (
        partial_index("ix_evaluation_prompts_recorded", "recorded_job_id", where=_RECORDED),
    )

    evaluation_id: str = Field(primary_key=True, foreign_key="evaluations.id")
    number: int = Field(primary_key=True)  # from 0
    content: str = Field(sa_column=Column(Text, nullable=False))  # JSON: `Prompt`
    recorded_job_id: str | None = None  # the past job that is replayed


class EvaluationCell(TableModel, table=True):
    """The grades of one cell, written in the state `grading`."""

    __tablename__: ClassVar[Any] = "evaluation_cells"

    evaluation_id: str = Field(primary_key=True, foreign_key="evaluations.id")
    prompt: int = Field(primary_key=True)
    column: int = Field(primary_key=True)
    sample: int = Field(primary_key=True)
    job_id: str | None = None
    outcome: str  # answered, refused, failed
    digest: str | None = None  # of the answer's text, to compare samples
    grades: str = Field(sa_column=Column(Text, nullable=False))  # JSON list, one for each grader
