"""The dispatcher as a process of its own, for installations with many workers."""

import asyncio
import signal

from broker.background import stop_services
from broker.settings import Settings
from workers.context import open_context
from workers.runtime.composition import build_services, build_shared_parts


async def run_dispatcher(settings: Settings) -> None:
    """Dispatch until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    context = open_context(settings)
    await context.start()
    services = build_services(context, build_shared_parts(context))
    for service in services:
        service.start()
    await stop.wait()
    await stop_services(services)
    await context.close()
