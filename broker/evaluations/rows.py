"""Rows of evaluations, of their prompts and of their cells. Times are Unix milliseconds. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from broker.enums import EvaluationState, StopReason
from broker.evaluations.specification import ModelColumn, Prompt, Specification

OPEN = (
    EvaluationState.PREPARING,
    EvaluationState.ANSWERING,
    EvaluationState.JUDGING,
    EvaluationState.GRADING,
)
"""The states of an evaluation that has not ended."""


class EvaluationRow(NamedTuple):
    """A row of `evaluations`."""

    id: str
    workspace_id: str
    api_key_id: str
    state: EvaluationState
    specification: str  # JSON
    prompts_total: int
    created_at: int
    expires_at: int
    name: str | None = None
    is_replay: bool = False
    prompts_graded: int = 0
    answers_batch_id: str | None = None
    judging_batch_id: str | None = None
    max_cost_nanos: int | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    stop_reason: StopReason | None = None
    summary: str | None = None  # JSON
    ended_at: int | None = None

    def read_specification(self) -> Specification:
        """Return the specification."""
        return Specification.model_validate_json(self.specification)


class PromptRow(NamedTuple):
    """A row of `evaluation_prompts`."""

    evaluation_id: str
    number: int  # from 0
    content: str  # JSON
    recorded_job_id: str | None = None

    def read_prompt(self) -> Prompt:
        """Return the prompt."""
        return Prompt.model_validate_json(self.content)


class Cell(NamedTuple):
    """The place of one answer: a prompt, a column and a sample, each from 0."""

    prompt: int
    column: int
    sample: int

    @property
    def custom_id(self) -> str:
        """The custom_id of the batch line that answers the cell."""
        return f"p{self.prompt}.c{self.column}.s{self.sample}"


class CellRow(NamedTuple):
    """A row of `evaluation_cells`."""

    evaluation_id: str
    prompt: int
    column: int
    sample: int
    outcome: str
    grades: str  # JSON
    job_id: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """An evaluation with its specification: which cells it has, and in which order."""

    row: EvaluationRow
    specification: Specification
    columns: Sequence[ModelColumn]

    @classmethod
    def of(cls, row: EvaluationRow) -> "Plan":
        """Return the plan of a row."""
        specification = row.read_specification()
        return cls(row, specification, specification.columns(is_replay=row.is_replay))

    @property
    def baseline(self) -> int:
        """The index of the column with which the others are compared."""
        return self.specification.baseline_index(is_replay=self.row.is_replay)

    def cells(self, prompt: int) -> list[Cell]:
        """Return the cells of a prompt, in order. The recorded column has one sample."""
        return [
            Cell(prompt, column, sample)
            for column in range(len(self.columns))
            for sample in range(1 if self.is_recorded(column) else self.specification.samples)
        ]

    def asked_cells(self, prompt: int) -> list[Cell]:
        """Return the cells of a prompt that are jobs of this evaluation, in order."""
        return [cell for cell in self.cells(prompt) if not self.is_recorded(cell.column)]

    def baseline_cell(self, cell: Cell) -> Cell:
        """Return the cell of the baseline with which a cell is compared."""
        sample = 0 if self.is_recorded(self.baseline) else cell.sample
        return Cell(cell.prompt, self.baseline, sample)

    def is_recorded(self, column: int) -> bool:
        """Return whether past jobs answered the cells of a column."""
        return self.row.is_replay and column == 0
