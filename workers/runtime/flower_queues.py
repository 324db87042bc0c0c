"""The queues as Flower shows them: with the jobs and deliveries that wait in the database.

A message is only a hint, so the transport has nearly none, however many jobs wait.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from broker import webhooks
from broker.completion import Json
from broker.enums import JobState
from broker.jobs import reports
from broker.queues import DELIVERIES_QUEUE
from broker.settings import Settings
from broker.storage.database import Database

IN_TRANSPORT = "messages_in_transport"
"""The field of Flower's API with the number of messages that the transport has."""


def show_waiting_jobs(settings: Settings) -> None:
    """Let Flower, which runs in this process, count jobs and deliveries of the database."""
    from flower.views import BaseHandler

    database = Database(settings.database, sqlite_synchronous=settings.sqlite_synchronous)
    get_transport = BaseHandler.get_broker

    def get_broker(handler: Any) -> WaitingJobs:
        return WaitingJobs(database, get_transport(handler))

    BaseHandler.get_broker = get_broker  # Flower has no setting for it


class WaitingJobs:
    """Answers Flower's question for the lengths of queues."""

    def __init__(self, database: Database, transport: Any) -> None:
        self._database = database
        self._transport = transport  # Flower's own view of the queues

    async def queues(self, names: Sequence[str]) -> list[Json]:
        """Return each queue: its `messages_ready` wait, its `messages_unacknowledged` run."""
        try:
            in_transport = {each["name"]: each for each in await self._transport.queues(names)}
        except Exception:  # noqa: BLE001  # whatever a transport may do: its figures are missing
            in_transport = {}
        try:
            waiting, running = await self._count()
        except SQLAlchemyError:
            return list(in_transport.values())
        return merge_queues(names, waiting, running, in_transport)

    async def _count(self) -> tuple[Counter[str], Counter[str]]:
        """Return what waits and what runs, by queue."""
        waiting: Counter[str] = Counter()
        running: Counter[str] = Counter()
        for row in await self._database.read(reports.count_open):
            if row.state in (JobState.QUEUED, JobState.RUNNING):
                counted = running if row.state == JobState.RUNNING else waiting
                counted[f"{row.provider}.{row.lane}"] += row.jobs
        for each in await self._database.read(webhooks.count_waiting):
            waiting[DELIVERIES_QUEUE] += each.deliveries
        return waiting, running


def merge_queues(
    names: Sequence[str],
    waiting: Mapping[str, int],
    running: Mapping[str, int],
    in_transport: Mapping[str, Json],
) -> list[Json]:
    """Return the queues by name, with the fields that Flower shows."""
    merged = []
    for name in sorted({*names, *in_transport, *waiting, *running}):
        ready, unacked = waiting.get(name, 0), running.get(name, 0)
        known = in_transport.get(name, {})
        merged.append(
            {
                **known,
                "name": name,
                "messages": ready + unacked,
                "messages_ready": ready,
                "messages_unacknowledged": unacked,
                IN_TRANSPORT: known.get("messages"),
            }
        )
    return merged
