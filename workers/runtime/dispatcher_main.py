"""The dispatcher as a process of its own, for installations with many workers."""

import asyncio
import signal
from functools import partial

from broker.background import Service, stop_services
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
    services = background_services(context)
    for service in services:
        service.start()
    await stop.wait()
    await stop_services(services)
    await context.close()


def background_services(context: WorkerContext) -> list[Service]:
    """Return the services that run beside the jobs, as long as the process lives.

    Several processes may have them: they elect a leader, or take a step under a lease.
    """
    return [
        *Dispatcher(context).services(),
        *BatchKeeper(context).services(),
        *NativeBatchKeeper(context).services(),
        *RetentionService(context).services(),
    ]
