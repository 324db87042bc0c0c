"""The models that local servers list. They are read often, and kept while a server is down."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence

import httpx
import orjson
import structlog

from broker.background import Service
from broker.catalog import LiveCatalog, Offer
from broker.catalog.discovered import read_local
from broker.providers.configuration import Provider

REFRESH_SECONDS = 10.0
TIMEOUT_SECONDS = 2.0
MAX_LIST_BYTES = 4 * 1024 * 1024
WIRE = "openai"

log = structlog.get_logger()


class LocalModels:
    """Updates a catalog with the models of the local servers that are configured."""

    def __init__(self, providers: Mapping[str, Provider], catalog: LiveCatalog) -> None:
        self._servers = find_local_servers(providers.values())
        self._catalog = catalog
        self._known: dict[str, Sequence[Offer]] = {}
        self._unreachable: frozenset[str] = frozenset()
        self._service = Service("local-models", REFRESH_SECONDS, self.refresh)

    async def start(self) -> None:
        """Read the lists once, so that the first listing of models is complete, then regularly."""
        if self._servers:
            await self.refresh()
            self._service.start()

    async def close(self) -> None:
        await self._service.stop()

    async def refresh(self) -> None:
        """Read the list of every server. The models of one that does not answer stay."""
        answers = await fetch_lists(self._servers)
        unreachable = frozenset(each.slug for each in self._servers).difference(answers)
        for slug in sorted(unreachable - self._unreachable):
            log.info("local_models.unreachable", provider=slug)
        self._unreachable = unreachable
        self._known |= answers
        await self._catalog.list_local(
            [offer for _, offers in sorted(self._known.items()) for offer in offers]
        )


def find_local_servers(providers: Iterable[Provider]) -> list[Provider]:
    """Return the providers whose models are known only from their own lists."""
    return [
        each for each in providers if each.vendor and each.vendor.any_model and each.wire == WIRE
    ]


async def fetch_lists(servers: Sequence[Provider]) -> dict[str, Sequence[Offer]]:
    """Return the models of the servers that answer, by provider."""
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as http:
        lists = await asyncio.gather(*(_fetch_list(http, each) for each in servers))
    return {
        each.slug: offers for each, offers in zip(servers, lists, strict=True) if offers is not None
    }


async def _fetch_list(http: httpx.AsyncClient, server: Provider) -> list[Offer] | None:
    """Return the models that a server lists; None if it does not answer with a list."""
    headers = {**server.headers, "accept-encoding": "identity"}  # so that the limit of bytes holds
    if server.api_key:
        headers["authorization"] = f"Bearer {server.api_key}"
    read = bytearray()
    with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError):
        async with (
            asyncio.timeout(TIMEOUT_SECONDS),
            http.stream("GET", f"{server.base_url}/models", headers=headers) as answer,
        ):
            if not answer.is_success:
                return None
            async for piece in answer.aiter_raw():
                read += piece
                if len(read) > MAX_LIST_BYTES:
                    return None
        return read_local(orjson.loads(read), server)
    return None
