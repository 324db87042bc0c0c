"""All changes of an evaluation's state. Each one names the states that it may start from.

    preparing → answering → judging → grading → completed, cancelled, expired or failed

A batch and the change that names it are one transaction; so are the grades of some prompts and the
cursor behind them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, update

from broker.batches import NewBatch, delete_batch, insert_batch, stop_batch
from broker.batches.options import OPEN as OPEN_BATCH
from broker.batches.reports import find_batch
from broker.enums import EvaluationState, StopReason
from broker.errors import ConflictError, NotFoundError
from broker.evaluations.reports import lock_evaluation
from broker.evaluations.rows import OPEN, CellRow, EvaluationRow
from broker.lifecycle.retention import DELETED_PROMPT
from broker.storage.tables import Evaluation, EvaluationCell, EvaluationPrompt, table

_evaluations = table(Evaluation)
_prompts = table(EvaluationPrompt)
_cells = table(EvaluationCell)

_BEFORE_GRADING = (
    EvaluationState.PREPARING,
    EvaluationState.ANSWERING,
    EvaluationState.JUDGING,
)


@dataclass(frozen=True, slots=True)
class GradedPrompts:
    """The grades of all cells of the prompts from `begin` to before `end`."""

    evaluation_id: str
    begin: int
    end: int
    cells: Sequence[CellRow]


@dataclass(frozen=True, slots=True)
class EvaluationEnd:
    """The last state of an evaluation, with its summary as JSON."""

    evaluation_id: str
    state: EvaluationState
    summary: str
    now: int
    keeps_prompts: bool = True


def begin_answering(connection: Connection, evaluation_id: str, batch: NewBatch) -> bool:
    """Insert the batch of answers; return False for an evaluation in another state."""
    row = _lock_in(connection, evaluation_id, EvaluationState.PREPARING)
    if row is None or row.stop_reason is not None:
        return False
    insert_batch(connection, batch)
    values = {"state": EvaluationState.ANSWERING, "answers_batch_id": batch.row.id}
    _update(connection, row.id, **values)
    return True


def begin_judging(connection: Connection, evaluation_id: str, batch: NewBatch) -> bool:
    """Insert the batch of the graders' calls; return False for an evaluation in another state."""
    row = _lock_in(connection, evaluation_id, EvaluationState.ANSWERING)
    if row is None or row.stop_reason is not None:
        return False
    insert_batch(connection, batch)
    values = {"state": EvaluationState.JUDGING, "judging_batch_id": batch.row.id}
    _update(connection, row.id, **values)
    return True


def begin_grading(connection: Connection, evaluation_id: str, reason: StopReason | None) -> bool:
    """Begin to compute grades; `reason` says why there are no further calls, if they stopped."""
    row = _lock_in(connection, evaluation_id, *_BEFORE_GRADING)
    if row is None:
        return False
    _update(
        connection,
        row.id,
        state=EvaluationState.GRADING,
        stop_reason=row.stop_reason or reason,
    )
    return True


def insert_grades(connection: Connection, graded: GradedPrompts) -> bool:
    """Insert grades and move the cursor; return False if it has moved on already."""
    row = _lock_in(connection, graded.evaluation_id, EvaluationState.GRADING)
    if row is None or row.prompts_graded != graded.begin:
        return False
    connection.execute(insert(_cells), [each._asdict() for each in graded.cells])
    _update(connection, row.id, prompts_graded=graded.end)
    return True


def end_evaluation(connection: Connection, end: EvaluationEnd) -> bool:
    """Write the last state and the summary; return False if it ended before."""
    row = _lock_in(connection, end.evaluation_id, EvaluationState.GRADING)
    if row is None:
        return False
    if not end.keeps_prompts:
        own = update(_prompts).where(_prompts.c.evaluation_id == row.id)
        connection.execute(own.values(content=DELETED_PROMPT))
    _update(connection, row.id, state=end.state, summary=end.summary, ended_at=end.now)
    return True


def stop_evaluation(
    connection: Connection, evaluation_id: str, reason: StopReason, now: int, workspace_id: str
) -> EvaluationState:
    """Stop an evaluation: no further call starts, and the answers so far are graded.

    Raises NotFoundError, or ConflictError for an evaluation that has ended otherwise.
    """
    row = lock_evaluation(connection, evaluation_id)
    if row is None or row.workspace_id != workspace_id:
        raise NotFoundError(f"There is no evaluation {evaluation_id}.")
    if row.state is EvaluationState.CANCELLED or (row.state in OPEN and row.stop_reason):
        return row.state
    if row.state not in _BEFORE_GRADING:
        raise ConflictError(f"Evaluation {row.id} is {row.state}; it can no longer be cancelled.")
    _update(connection, row.id, stop_reason=reason)
    batch_id = row.judging_batch_id or row.answers_batch_id
    batch = None if batch_id is None else find_batch(connection, batch_id)
    if batch is not None and batch.state in OPEN_BATCH and batch.stop_reason is None:
        _stop_batch(connection, batch.id, reason, now)
    return row.state


def delete_evaluation(connection: Connection, evaluation_id: str, workspace_id: str) -> list[str]:
    """Delete an evaluation that has ended; return the ids of files, which the caller deletes.

    The jobs of its cells stay: the ledger refers to them. Raises NotFoundError or ConflictError.
    """
    row = lock_evaluation(connection, evaluation_id)
    if row is None or row.workspace_id != workspace_id:
        raise NotFoundError(f"There is no evaluation {evaluation_id}.")
    if row.state in OPEN:
        raise ConflictError(
            f"Evaluation {row.id} is {row.state}: cancel it, and delete it once it has ended."
        )
    files: list[str] = []
    for batch_id in (row.answers_batch_id, row.judging_batch_id):
        if batch_id is not None and find_batch(connection, batch_id) is not None:
            files += delete_batch(connection, batch_id, workspace_id)
    for rows in (_cells, _prompts):
        connection.execute(delete(rows).where(rows.c.evaluation_id == row.id))
    connection.execute(delete(_evaluations).where(_evaluations.c.id == row.id))
    return files


def _stop_batch(connection: Connection, batch_id: str, reason: StopReason, now: int) -> None:
    try:
        stop_batch(connection, batch_id, reason, now)
    except ConflictError:  # its lines have all ended
        return


def _lock_in(
    connection: Connection, evaluation_id: str, *states: EvaluationState
) -> EvaluationRow | None:
    """Return an evaluation in one of these states, locked; None for any other."""
    row = lock_evaluation(connection, evaluation_id)
    return row if row is not None and row.state in states else None


def _update(connection: Connection, evaluation_id: str, **values: object) -> None:
    connection.execute(
        update(_evaluations).where(_evaluations.c.id == evaluation_id).values(**values)
    )
