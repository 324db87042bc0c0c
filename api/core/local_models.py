"""The models that local servers list: fetched every few seconds, kept while one is down."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence

import httpx
import orjson
import structlog

from broker.background import end_tasks
from broker.catalog import LiveCatalog, Offer
from broker.catalog.discovered import read_local
from broker.providers.configuration import Provider

LOOK_SECONDS = 10.0
PATIENCE_SECONDS = 2.0
MOST_BYTES = 4 * 1024 * 1024
WIRE = "openai"

log = structlog.get_logger()


class LocalModels:
    """Tells a catalog what the configured servers of one's own have."""

    def __init__(self, providers: Mapping[str, Provider], catalog: LiveCatalog) -> None:
        self._servers = local_servers(providers.values())
        self._catalog = catalog
        self._known: dict[str, Sequence[Offer]] = {}
        self._away: frozenset[str] = frozenset()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Ask once, so that the first listing is complete, then now and again."""
        if self._servers:
            await self.look()
            self._task = asyncio.create_task(self._run(), name="local models")

    async def close(self) -> None:
        if self._task is not None:
            await end_tasks([self._task])

    async def look(self) -> None:
        """Ask every server. The models of one that does not answer stay as they were."""
        answers = await ask(self._servers)
        away = frozenset(each.slug for each in self._servers).difference(answers)
        for slug in sorted(away - self._away):
            log.info("local_models.unreachable", provider=slug)
        self._away = away
        self._known |= answers
        await self._catalog.list_local(
            [offer for _, offers in sorted(self._known.items()) for offer in offers]
        )

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception:
                log.exception("local_models.unreadable")


def local_servers(providers: Iterable[Provider]) -> list[Provider]:
    """Return the providers whose models only they themselves know."""
    return [
        each for each in providers if each.vendor and each.vendor.any_model and each.wire == WIRE
    ]


async def ask(servers: Sequence[Provider]) -> dict[str, Sequence[Offer]]:
    """Return the models of the servers that answer, by provider."""
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS, trust_env=False) as http:
        lists = await asyncio.gather(*(_listed(http, each) for each in servers))
    return {
        each.slug: offers for each, offers in zip(servers, lists, strict=True) if offers is not None
    }


async def _listed(http: httpx.AsyncClient, server: Provider) -> list[Offer] | None:
    """Return what a server lists; None where it does not answer with a list."""
    headers = {**server.headers, "accept-encoding": "identity"}  # nothing is unpacked here
    if server.api_key:
        headers["authorization"] = f"Bearer {server.api_key}"
    read = bytearray()
    with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError):
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            http.stream("GET", f"{server.base_url}/models", headers=headers) as answer,
        ):
            if not answer.is_success:
                return None
            async for piece in answer.aiter_raw():
                read += piece
                if len(read) > MOST_BYTES:
                    return None
        return read_local(orjson.loads(read), server)
    return None
