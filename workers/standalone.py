"""The dispatcher as a process of its own, for installations with many workers."""

import asyncio
import signal
from functools import partial

from broker.settings import Settings
from broker.stopping import stopped
from workers.batches import BatchKeeper
from workers.dispatcher import Dispatcher
from workers.forgetting import Forgetter
from workers.native_batches import NativeBatchKeeper
from workers.own_keys import light
from workers.toolbox import toolbox


async def dispatch_forever(settings: Settings) -> None:
    """Dispatch until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tools = toolbox(settings)
    tools.observer.start()
    tools.credentials.start(partial(light, tools))
    services = [
        asyncio.create_task(service)
        for service in (
            Dispatcher(tools).run(),
            BatchKeeper(tools).run(),
            NativeBatchKeeper(tools).run(),
            Forgetter(tools).run(),
        )
    ]
    await stop.wait()
    await stopped(services)
    await tools.close()
