"""The catalog of a running process: loaded again when an import is applied, or prices change.

Prices change by the hour (off-peak) and by the day; half an hour is the grid that vendors use.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain

import structlog
from sqlalchemy.exc import SQLAlchemyError

from broker.background import stopped
from broker.catalog import applied
from broker.catalog.assembly import load
from broker.catalog.lookup import Catalog
from broker.catalog.models import Offer
from broker.clock import now_ms
from broker.providers.configuration import Provider
from broker.settings import Settings
from broker.storage.database import Database

LOOK_SECONDS = 2.0
GRID_MS = 30 * 60 * 1000

log = structlog.get_logger()


class LiveCatalog:
    """`current` is the catalog as it is now; who keeps it keeps that moment's."""

    def __init__(
        self,
        settings: Settings,
        providers: Mapping[str, Provider],
        database: Database,
        *,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._settings = settings
        self._providers = providers
        self._database = database
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._local: Sequence[Offer] = ()
        self._seen = database.read_now(applied.version), self._slot()
        self.current = self._load()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="catalog")

    async def close(self) -> None:
        if self._task is not None:
            await stopped([self._task])

    async def refresh(self) -> bool:
        """Load again if something has changed; return whether it had."""
        seen = await self._database.read(applied.version), self._slot()
        if seen == self._seen:
            return False
        self.current = await asyncio.to_thread(self._load)
        self._seen = seen
        return True

    async def list_local(self, offers: Sequence[Offer]) -> None:
        """Add the models that servers of one's own list, in place of those listed before."""
        if offers != self._local:
            self._local = offers
            self.current = await asyncio.to_thread(self._load)

    def _load(self) -> Catalog:
        now = self._clock()
        offers = self._database.read_now(applied.offers, now)
        moment = datetime.fromtimestamp(now / 1000, UTC)
        listed = chain(offers, self._local)
        return load(self._settings, self._providers, listed, now=moment)

    def _slot(self) -> int:
        return self._clock() // GRID_MS

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if await self.refresh():
                    log.info("catalog.loaded", models=len(self.current.models))
            except SQLAlchemyError as error:
                log.info("catalog.not_read", error=str(error))
            except Exception:
                log.exception("catalog.unreadable")
