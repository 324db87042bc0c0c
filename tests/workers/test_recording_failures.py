"""What is told at the end of an attempt is what was written of it."""

from dataclasses import replace
from types import SimpleNamespace

import orjson
import pytest

from broker.settings import Settings
from tests.factories import cancel, failure, make_principal, submit_and_claim
from workers.recording import fail
from workers.story import Story


class Tools:
    """A worker's tools, with a note of what is told and published."""

    def __init__(self, database):
        self.database = database
        self.settings = Settings()
        self.told, self.published = [], []
        self.events = SimpleNamespace(emit=lambda _job, new, **_: self.told.extend(new))
        self.publisher = SimpleNamespace(publish=lambda *job: self.published.append(job))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_job_that_was_cancelled_as_its_attempt_failed_is_told_as_cancelled(
    database, stream
):
    # Given an attempt that fails in a way that is tried again
    caller, tools = make_principal(database), Tools(database)
    job = replace(submit_and_claim(database, caller), stream=stream)
    story = await Story.open(job, tools.events, redis=None)
    run = SimpleNamespace(
        job=job, story=story, heard=None, timings=SimpleNamespace(first_token_ms=1, duration_ms=2)
    )
    # When its caller cancels the job, and the worker has yet to hear of it
    cancel(database, job.id, caller.workspace_id)
    await fail(tools, run, failure())
    # Then nobody hears of a retry, and none is published
    assert [event.type for event in tools.told] == ["started", "cancelled"]
    assert [event.number for event in tools.told] == [1, 2]
    assert orjson.loads(tools.told[-1].data)["error"]["message"]
    assert tools.published == []
