"""Each change of an evaluation's state starts only from the states that it names."""

from dataclasses import replace

import pytest
from sqlalchemy import func, select, update

from broker.batches import BatchOptions, new_batch
from broker.clock import now_ms
from broker.enums import EvaluationState, FilePurpose, StopReason
from broker.errors import ConflictError, NotFoundError
from broker.evaluations import reports, transitions
from broker.evaluations.creation import (
    AskedPrompt,
    EvaluationOptions,
    insert_evaluation,
    new_evaluation,
)
from broker.evaluations.rows import OPEN, CellRow
from broker.evaluations.specification import Prompt, Specification
from broker.evaluations.transitions import EvaluationEnd, GradedPrompts
from broker.ids import new_id
from broker.requests.operations import Operation
from broker.storage.files import FileRow
from broker.storage.tables import Batch, Evaluation, EvaluationCell, table
from tests.factories import make_principal, write

STATES = list(EvaluationState)
FROM = {
    "begin_answering": {EvaluationState.PREPARING},
    "begin_judging": {EvaluationState.ANSWERING},
    "begin_grading": {
        EvaluationState.PREPARING,
        EvaluationState.ANSWERING,
        EvaluationState.JUDGING,
    },
    "insert_grades": {EvaluationState.GRADING},
    "end_evaluation": {EvaluationState.GRADING},
}
"""The states from which each change starts."""


def make_evaluation(database, state=EvaluationState.PREPARING, **columns):
    """An evaluation of two prompts in this state; returns its caller and its id."""
    caller = make_principal(database)
    prompts = [AskedPrompt(Prompt(prompt=text)) for text in ("one", "two")]
    wanted = Specification(models=["acme/small"])
    new = new_evaluation(wanted, prompts, EvaluationOptions(), caller, now_ms())
    write(database, insert_evaluation, replace(new, row=new.row._replace(state=state, **columns)))
    return caller, new.row.id


def make_batch(caller):
    file_id, now = new_id("file_"), now_ms()
    new = new_batch(BatchOptions(Operation.CHAT), caller, now, input_file_id=file_id)
    file = FileRow(file_id, caller.workspace_id, FilePurpose.BATCH, 9, now, lines=1)
    return replace(new, own_file=file)


def change(database, name, caller, evaluation_id):
    """Make a change; return whether it was made."""
    if name in {"begin_answering", "begin_judging"}:
        batch = make_batch(caller)
        return write(database, getattr(transitions, name), evaluation_id, batch)
    if name == "begin_grading":
        return write(database, transitions.begin_grading, evaluation_id, None)
    if name == "insert_grades":
        cell = CellRow(evaluation_id, 0, 0, 0, "answered", "[]")
        graded = GradedPrompts(evaluation_id, 0, 1, [cell])
        return write(database, transitions.insert_grades, graded)
    end = EvaluationEnd(evaluation_id, EvaluationState.COMPLETED, "{}", now_ms())
    return write(database, transitions.end_evaluation, end)


def row_of(database, evaluation_id):
    return database.read_now(reports.find_evaluation, evaluation_id)


def count(database, model):
    query = select(func.count()).select_from(table(model))
    return database.read_now(lambda connection: connection.execute(query).scalar_one())


@pytest.mark.parametrize("name", FROM)
@pytest.mark.parametrize("state", STATES)
def test_a_change_starts_from_its_states_only(database, name, state):
    caller, evaluation_id = make_evaluation(database, state)
    before = row_of(database, evaluation_id)
    made = change(database, name, caller, evaluation_id)
    assert made is (state in FROM[name])
    assert (row_of(database, evaluation_id) != before) is made
    assert count(database, Batch) == (made and name in {"begin_answering", "begin_judging"})


@pytest.mark.parametrize("name", FROM)
def test_a_repeated_change_does_nothing(database, name):
    caller, evaluation_id = make_evaluation(database, min(FROM[name]))
    assert change(database, name, caller, evaluation_id)
    after, batches = row_of(database, evaluation_id), count(database, Batch)
    assert not change(database, name, caller, evaluation_id)
    assert row_of(database, evaluation_id) == after
    assert count(database, Batch) == batches
    assert count(database, EvaluationCell) == (name == "insert_grades")


@pytest.mark.parametrize("name", ["begin_answering", "begin_judging"])
def test_no_batch_is_made_once_it_was_stopped(database, name):
    caller, evaluation_id = make_evaluation(database, min(FROM[name]))
    write(
        database,
        transitions.stop_evaluation,
        *(evaluation_id, StopReason.CANCELLED, now_ms(), caller.workspace_id),
    )
    assert not change(database, name, caller, evaluation_id)
    assert count(database, Batch) == 0


@pytest.mark.parametrize("state", STATES)
def test_only_what_has_not_ended_is_stopped_and_only_what_has_ended_deleted(database, state):
    caller, evaluation_id = make_evaluation(database, state)
    stop = (evaluation_id, StopReason.CANCELLED, now_ms())
    with pytest.raises(NotFoundError):
        write(database, transitions.stop_evaluation, *stop, "ws_other")
    with pytest.raises(NotFoundError):
        write(database, transitions.delete_evaluation, evaluation_id, "ws_other")
    if state in {EvaluationState.CANCELLED, *OPEN} - {EvaluationState.GRADING}:
        write(database, transitions.stop_evaluation, *stop, caller.workspace_id)
    else:
        with pytest.raises(ConflictError):
            write(database, transitions.stop_evaluation, *stop, caller.workspace_id)
    if state in OPEN:
        with pytest.raises(ConflictError):
            write(database, transitions.delete_evaluation, evaluation_id, caller.workspace_id)
        return
    write(database, transitions.delete_evaluation, evaluation_id, caller.workspace_id)
    assert row_of(database, evaluation_id) is None


def test_prompts_that_are_not_kept_are_deleted_at_the_end(database):
    _, evaluation_id = make_evaluation(database, EvaluationState.GRADING)
    end = EvaluationEnd(
        evaluation_id, EvaluationState.COMPLETED, "{}", now_ms(), keeps_prompts=False
    )
    write(database, transitions.end_evaluation, end)
    prompts = database.read_now(reports.list_prompts, evaluation_id, 0, 9)
    assert [each.read_prompt().prompt for each in prompts] == ["(deleted)"] * 2


def test_the_batch_of_an_evaluation_is_no_batch_of_the_caller(database):
    caller, evaluation_id = make_evaluation(database)
    change(database, "begin_answering", caller, evaluation_id)
    batch_id = row_of(database, evaluation_id).answers_batch_id
    batches = table(Batch)
    with database.transaction() as connection:
        owned = update(batches).where(batches.c.id == batch_id)
        connection.execute(owned.values(evaluation_id=evaluation_id))
    from broker.batches.reports import BatchPage, find, page

    assert database.read_now(find, caller.workspace_id, batch_id) is None
    assert database.read_now(page, BatchPage(caller.workspace_id, 9)) == []
    evaluations = table(Evaluation)
    assert database.read_now(
        lambda connection: connection.execute(select(evaluations.c.id)).scalars().all()
    ) == [evaluation_id]
