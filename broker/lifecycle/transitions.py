"""Guarded updates of `jobs`: each names the states it may start from, and its rows are counted.

`TRANSITIONS` is the only table of allowed transitions; statements for others cannot be built.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Update, bindparam, or_, update

from broker.enums import JobState
from broker.jobs.states import TRANSITIONS
from broker.storage.frequent_statements import FrequentUpdate
from broker.storage.tables import Job, table

_jobs = table(Job)

UNCLAIMED = (JobState.SCHEDULED, JobState.QUEUED)
"""States of jobs that no worker has."""


class GuardError(RuntimeError):
    """A job was not in a state that its update may start from, although its row was locked."""


def transition(then: JobState, *sources: JobState) -> Update:
    """Return an update that moves jobs from one of `sources` to `then`; a job may also stay there.

    Raises ValueError for a transition that `TRANSITIONS` does not have.
    """
    for source in sources:
        if source is not then and then not in TRANSITIONS[source]:
            raise ValueError(f"A job that is {source} cannot become {then}.")
    return change(*sources).values(state=then.value)


def change(*states: JobState) -> Update:
    """Return an update of jobs that are in one of these states; it leaves them there."""
    # no IN here: SQLAlchemy cannot run it for many rows at once
    return update(_jobs).where(or_(*[_jobs.c.state == state.value for state in states]))


def of_job(statement: Update) -> Update:
    """Restrict an update to the job with the id `of_job`."""
    return statement.where(_jobs.c.id == bindparam("of_job"))


def of_attempt(statement: Update) -> Update:
    """Restrict an update to the job with the id `of_job` while its attempt is `of_attempt`."""
    return of_job(statement).where(_jobs.c.attempt == bindparam("of_attempt"))


def apply(
    connection: Connection, statement: FrequentUpdate, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Run an update of one job for each of `rows`, which the caller has locked.

    Raises GuardError where it did not find them all, so that the transaction is rolled back; in a
    pipeline (`frequent_statements`) at its end.
    """

    def fail(found: int) -> GuardError:
        return GuardError(f"{found} of {len(rows)} jobs were in a state that allows this update.")

    statement.check(connection, rows, fail)
