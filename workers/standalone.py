"""The dispatcher as a process of its own, for installations with many workers."""

import asyncio
import signal

from broker.settings import Settings
from workers.dispatcher import Dispatcher
from workers.toolbox import toolbox


async def dispatch_forever(settings: Settings) -> None:
    """Dispatch until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tools = toolbox(settings)
    tools.observer.start()
    dispatching = asyncio.create_task(Dispatcher(tools).run())
    await stop.wait()
    dispatching.cancel()
    await tools.close()
