"""Interactive jobs go before batch jobs within one worker process, too."""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext

from broker.queues import Lane

BATCH_CLAIMS = 32
"""How many batch jobs are claimed together. The loop and the writer are done with so many before
an interactive job feels it, and each job that begins is one that ends a little later: this bounds
what batches ask of a process at any moment, however many calls they have in flight."""


class Lanes:
    """Lets batch jobs begin a few at a time; interactive ones at once."""

    def __init__(self) -> None:
        self._batch = asyncio.Semaphore(BATCH_CLAIMS)

    def turn(self, lane: Lane) -> AbstractAsyncContextManager[None]:
        return nullcontext() if lane is Lane.INTERACTIVE else self._batch
