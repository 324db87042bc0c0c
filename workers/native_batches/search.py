"""Finds a batch at its provider whose creation went unheard."""

from typing import Any

from broker import native_batches
from workers.adapters.base import Upstream
from workers.context import WorkerContext
from workers.native_batches.base import BatchApi, ListedBatch
from workers.native_batches.calls import fetch

PAGES = 20
CLOCK_SKEW_SECONDS = 120


async def find_batches(
    tools: WorkerContext, api: BatchApi, upstream: Upstream, row: Any
) -> list[ListedBatch]:
    """Return the provider's batches that are this one; oldest first. More than one is one too many.

    Where the provider keeps no marker, the one batch of that time and size counts, and several are
    none: the results are matched by job id before anything is booked.
    """
    others = await tools.database.read(native_batches.known_upstream, row.id)
    since = row.create_sent_at / 1000 - CLOCK_SKEW_SECONDS
    found: list[ListedBatch] = []
    after: str | None = None
    for _ in range(PAGES):
        page = api.page(await fetch(tools.wire.client, api.listing(after, upstream)))
        recent = [each for each in page.batches if each.created_at >= since]
        found += [each for each in recent if each.id not in others and _is(each, api, row)]
        after = page.after
        if after is None or (page.batches and not recent):
            break
    if not api.marks and len(found) > 1:
        return []
    return sorted(found, key=lambda each: each.created_at)


def _is(listed: ListedBatch, api: BatchApi, row: Any) -> bool:
    return bool(listed.marker == row.id if api.marks else listed.lines == row.lines)
