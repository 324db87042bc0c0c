"""`waybill health`: check the heartbeat of a part, e.g. as the health check of a container."""

import asyncio
import contextlib
import time
from enum import StrEnum
from typing import Annotated

import typer
from redis.asyncio import Redis

from broker.events import signals
from broker.settings import Settings
from cli.configuration import load_configuration
from cli.messages import print_error
from workers.services.leader_election import find_leader

TIMEOUT_SECONDS = 3


class Part(StrEnum):
    """The parts with a heartbeat."""

    WORKER = "worker"
    DISPATCHER = "dispatcher"


def health(
    part: Annotated[
        Part,
        typer.Argument(help="This host's worker (or WAYBILL_WORKER_ID), or any dispatcher."),
    ],
) -> None:
    """Check the heartbeat of this host's worker, or of the dispatcher; exit with 1 without one."""
    config = load_configuration()
    found = asyncio.run(_find(part, config))
    if found is None:
        print_error(f"no {part.value} has reported a heartbeat lately")
        raise typer.Exit(1)
    typer.echo(f"{part.value} {found} runs")


async def _find(part: Part, config: Settings) -> str | None:
    """Return the id of a process that has reported its heartbeat; None without one."""
    redis = Redis.from_url(
        config.redis, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
    )
    async with contextlib.aclosing(redis):
        if part is Part.DISPATCHER:
            return await find_leader(redis, "dispatcher")
        alive = await signals.list_alive(redis, time.time())
    own = [name for name in alive if _is_own(name, config)]
    return own[0] if own else None


def _is_own(worker_id: str, config: Settings) -> bool:
    if config.worker_id:
        return worker_id == config.worker_id
    return signals.is_of_this_host(worker_id)
