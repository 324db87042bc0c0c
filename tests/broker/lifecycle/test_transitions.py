import pytest
from sqlalchemy import bindparam

from broker.enums import JobState
from broker.jobs.states import TRANSITIONS
from broker.lifecycle import transitions
from broker.lifecycle.transitions import GuardError
from broker.storage.frequent_statements import FrequentUpdate
from tests.factories import claim_one, job_row, make_principal, submit, submit_and_claim

REQUEUE = FrequentUpdate(
    transitions.of_attempt(transitions.transition(JobState.QUEUED, JobState.RUNNING)).values(
        lease_owner=None
    )
)
RENAME = FrequentUpdate(
    transitions.of_job(transitions.change(JobState.QUEUED)).values(model=bindparam("to"))
)


@pytest.mark.parametrize("then", JobState)
@pytest.mark.parametrize("source", JobState)
def test_a_transition_is_built_only_if_the_table_has_it(source, then):
    if then in TRANSITIONS[source] or then is source:
        transitions.transition(then, source)
    else:
        with pytest.raises(ValueError, match="cannot become"):
            transitions.transition(then, source)


def test_an_update_changes_the_jobs_that_its_guard_allows(database):
    principal = make_principal(database)
    ids = [submit(database, principal), submit(database, principal)]
    with database.transaction() as connection:
        transitions.apply(connection, RENAME, [{"of_job": id_, "to": "new"} for id_ in ids])
    assert [job_row(database, id_).model for id_ in ids] == ["new", "new"]


def test_an_update_from_another_state_is_undone_as_a_whole(database):
    # Given two jobs of which one runs
    principal = make_principal(database)
    ids = [submit(database, principal), submit(database, principal)]
    model = job_row(database, ids[0]).model
    claim_one(database, ids[1])
    # When both are updated as waiting jobs
    with pytest.raises(GuardError), database.transaction() as connection:
        transitions.apply(connection, RENAME, [{"of_job": id_, "to": "new"} for id_ in ids])
    # Then neither is changed
    assert [job_row(database, id_).model for id_ in ids] == [model, model]


def test_an_update_of_an_earlier_attempt_is_refused(database):
    job = submit_and_claim(database, make_principal(database))
    rows = [{"of_job": job.id, "of_attempt": job.attempt - 1}]
    with pytest.raises(GuardError), database.transaction() as connection:
        transitions.apply(connection, REQUEUE, rows)
    assert job_row(database, job.id).state == JobState.RUNNING
