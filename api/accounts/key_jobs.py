"""Cancel the jobs, batches and evaluations of a deleted key."""

import asyncio
from collections.abc import Iterable

from api.core.auth import MAX_AGE_SECONDS
from api.core.services import Services
from broker.accounts import KeyRow
from broker.administration import keys
from broker.batches.endings import stop_batch
from broker.clock import now_ms
from broker.completion import Json
from broker.enums import StopReason
from broker.errors import ConflictError, NotFoundError
from broker.evaluations.transitions import stop_evaluation
from broker.lifecycle import Cancellation, cancel_many

GROUP_SIZE = 500
"""The number of jobs that are cancelled at once."""


async def cancel_all(services: Services, key: KeyRow) -> Json:
    """Cancel the batches and evaluations of a deleted key and its jobs that have not begun.

    Returns the numbers of batches and jobs.

    It waits first until no process accepts the key. A batch or job that ends meanwhile stays as it
    is.
    """
    await asyncio.sleep(MAX_AGE_SECONDS)
    write, cancel_one = services.database.write, services.database.write_grouped
    owner = key.workspace_id
    stopped = []
    for list_open, stop in (
        (keys.list_open_evaluations, stop_evaluation),
        (keys.list_open_batches, stop_batch),
    ):
        found = await services.database.read(list_open, key)
        stops = [write(stop, each, StopReason.CANCELLED, now_ms(), owner) for each in found]
        stopped.append(_count_ended(await asyncio.gather(*stops, return_exceptions=True)))
    evaluations, batches = stopped
    count = 0
    while jobs := await services.database.read(keys.list_waiting_jobs, key, GROUP_SIZE):
        cancellations = [Cancellation(each, owner, now_ms()) for each in jobs]
        ended = await asyncio.gather(
            *(cancel_one(cancel_many, each) for each in cancellations), return_exceptions=True
        )
        count += _count_ended(ended)
    return {"jobs": count, "batches": batches, "evaluations": evaluations}


def _count_ended(results: Iterable[object]) -> int:
    """Return the number of successes. Raises an error other than a conflict or a missing object."""
    count = 0
    for each in results:
        if not isinstance(each, BaseException):
            count += 1
        elif not isinstance(each, ConflictError | NotFoundError):
            raise each
    return count
