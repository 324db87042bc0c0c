"""End the jobs and batches of a deleted key, where its deletion asks for that."""

import asyncio
from typing import Any

from api.core.auth import FRESH_SECONDS
from api.core.services import Services
from broker.administration import keys
from broker.batches.endings import stop_batch
from broker.clock import now_ms
from broker.completion import Json
from broker.enums import StopReason
from broker.errors import ConflictError, NotFoundError
from broker.lifecycle import Cancellation, cancel_many

GROUP = 500
"""Jobs that are cancelled at once."""


async def cancel(services: Services, row: Any) -> Json:
    """Cancel what a deleted key (its row) submitted and has not begun; return how much that was.

    Waits first until no process lets the key in any more. A batch or job that ends meanwhile is
    left as it is.
    """
    await asyncio.sleep(FRESH_SECONDS)
    write, cancel_one = services.database.write, services.database.write_grouped
    owner = row.workspace_id
    batches = await services.database.read(keys.list_open_batches, row)
    stops = [write(stop_batch, each, StopReason.CANCELLED, now_ms(), owner) for each in batches]
    stopped = await asyncio.gather(*stops, return_exceptions=True)
    count = 0
    while jobs := await services.database.read(keys.list_waiting_jobs, row, GROUP):
        wishes = [Cancellation(each, owner, now_ms()) for each in jobs]
        ended = await asyncio.gather(
            *(cancel_one(cancel_many, each) for each in wishes), return_exceptions=True
        )
        count += _done(ended)
    return {"jobs": count, "batches": _done(stopped)}


def _done(results: list[Any]) -> int:
    """Count what was ended. Raises what was neither a conflict nor a thing that is gone."""
    refused = [each for each in results if isinstance(each, BaseException)]
    for each in refused:
        if not isinstance(each, ConflictError | NotFoundError):
            raise each
    return len(results) - len(refused)
