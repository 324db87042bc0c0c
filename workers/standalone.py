"""The dispatcher as a process of its own, for installations with many workers."""

import asyncio
import signal
from collections.abc import Coroutine
from functools import partial
from typing import Any

from broker.settings import Settings
from broker.stopping import stopped
from workers.batches import BatchKeeper
from workers.dispatcher import Dispatcher
from workers.forgetting import Forgetter
from workers.native_batches import NativeBatchKeeper
from workers.own_keys import light
from workers.toolbox import Toolbox, toolbox


async def dispatch_forever(settings: Settings) -> None:
    """Dispatch until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tools = toolbox(settings)
    tools.observer.start()
    tools.credentials.start(partial(light, tools))
    await tools.pauses.start()
    services = [asyncio.create_task(each, name=name) for name, each in duties(tools).items()]
    await stop.wait()
    await stopped(services)
    await tools.close()


def duties(tools: Toolbox) -> dict[str, Coroutine[Any, Any, None]]:
    """Return what is done besides taking jobs, each to be run for as long as the process lives.

    Any number of processes may have them: they agree among themselves on who leads, or takes a
    step.
    """
    return {
        "dispatcher": Dispatcher(tools).run(),
        "batches": BatchKeeper(tools).run(),
        "native-batches": NativeBatchKeeper(tools).run(),
        "forgetting": Forgetter(tools).run(),
    }
