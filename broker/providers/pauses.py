"""Read the pauses of providers that operators set for the whole installation.

The rows are in the database, so that a pause survives restarts. Each process that calls providers
reads them once a second. A job of a paused provider waits in the database, or moves to another
endpoint of its plan. Running calls end normally.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from sqlalchemy import Connection, select

from broker.background import Service
from broker.providers.pacing import Busy, Cause
from broker.storage.database import Database, SeenVersion
from broker.storage.tables import PausedProvider, columns, table

REFRESH_SECONDS = 1.0
RETRY_MS = 2_000
"""The time until a job of a paused provider is checked again."""

_paused = table(PausedProvider)


class ProviderPause(Protocol):
    """A row of `paused_providers`."""

    provider: str
    reason: str | None
    paused_by: str
    paused_at: int  # Unix ms


def read_pauses(connection: Connection) -> Sequence[ProviderPause]:
    """Return the paused providers, ordered by slug."""
    rows: Sequence[ProviderPause] = connection.execute(
        select(*columns(ProviderPause, _paused)).order_by(_paused.c.provider)
    ).all()
    return rows


class LivePauses:
    """The pauses as one process last read them, at most a second ago."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen = SeenVersion()
        self._providers: frozenset[str] = frozenset()
        self._service = Service("provider-pauses", REFRESH_SECONDS, self.refresh)

    async def start(self) -> None:
        """Read the pauses, and then refresh them in the background."""
        await self.refresh()
        self._service.start()

    async def close(self) -> None:
        await self._service.stop()

    async def refresh(self) -> None:
        if self._seen.is_current(self._database):
            return
        version = self._database.read_version()
        rows = await self._database.read(read_pauses)
        self._providers = frozenset(row.provider for row in rows)
        self._seen.version = version

    @property
    def providers(self) -> frozenset[str]:
        return self._providers

    def __contains__(self, provider: str) -> bool:
        return provider in self._providers

    def find_busy(self, now: int) -> Mapping[str, Busy]:
        """Return, for each paused provider, the reason for which its jobs wait."""
        until = now + RETRY_MS
        return {each: Busy(each, Cause.PAUSED, until) for each in self._providers}
