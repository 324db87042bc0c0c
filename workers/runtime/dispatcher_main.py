"""The dispatcher as a process of its own, for installations with many workers."""

import asyncio
import signal
from collections.abc import Coroutine
from functools import partial
from typing import Any

from broker.background import end_tasks
from broker.settings import Settings
from workers.attempt.credentials import add_credential_providers
from workers.context import WorkerContext, open_context
from workers.native_batches import NativeBatchKeeper
from workers.services.batches import BatchKeeper
from workers.services.dispatcher import Dispatcher
from workers.services.retention import RetentionService


async def run_dispatcher(settings: Settings) -> None:
    """Dispatch until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    context = open_context(settings)
    context.observer.start()
    context.credentials.start(partial(add_credential_providers, context))
    await context.pauses.start()
    services = [
        asyncio.create_task(each, name=name) for name, each in background_services(context).items()
    ]
    await stop.wait()
    await end_tasks(services)
    await context.close()


def background_services(context: WorkerContext) -> dict[str, Coroutine[Any, Any, None]]:
    """Return what is done besides taking jobs, each to be run for as long as the process lives.

    Any number of processes may have them: they agree among themselves on who leads, or takes a
    step.
    """
    return {
        "dispatcher": Dispatcher(context).run(),
        "batches": BatchKeeper(context).run(),
        "native-batches": NativeBatchKeeper(context).run(),
        "forgetting": RetentionService(context).run(),
    }
