"""A commit whose answer was lost is written again: the job is there once, its caller is told."""

from types import SimpleNamespace

from api.jobs import submit
from broker.accounts import Principal
from tests.factories import make_new_job, make_principal


class Announced:
    def __init__(self) -> None:
        self.jobs: list[str] = []

    def publish(self, provider, lane, job_ids) -> None:
        self.jobs += job_ids


async def test_a_job_that_was_written_after_all_is_accepted(database) -> None:
    caller: Principal = make_principal(database)
    services = SimpleNamespace(database=database, publisher=Announced())
    # Given a job whose commit went through although nobody heard of it
    job = make_new_job(caller)
    await submit.submit(services, job)
    # When it is written again
    submitted = await submit.submit(services, job)
    # Then its caller is told that it is accepted, not that it failed
    assert submitted.job_id == job.id
    assert not submitted.replayed
