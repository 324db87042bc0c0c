"""Fetches what a caller's URL points to, through the guard."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

import httpx

from broker.settings import Settings
from workers.egress import Bounds, Policy, RefusedError, TooLargeError, guarded_client, parse

FETCH_SECONDS = 30.0
AT_ONCE = 32  # in one worker process: each holds up to max_media_bytes
HEADERS = {"user-agent": "Waybill (media fetcher)", "accept": "*/*"}


@dataclass(frozen=True, slots=True)
class FetchedMedia:
    """What was at a URL."""

    content: bytes
    mime: str | None = None  # as its server stated it, lower-case, without parameters


class FetchError(Exception):
    """Nothing was fetched; the text says why, for the caller."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


Fetch: TypeAlias = Callable[[str], Awaitable[FetchedMedia]]


class Fetcher:
    """Fetches one URL a call. Raises FetchError."""

    def __init__(self, settings: Settings) -> None:
        self._policy = Policy(networks=settings.allowed_networks)
        self._bounds = Bounds(settings.max_media_bytes, FETCH_SECONDS)
        self._client = guarded_client(self._policy, self._bounds, connections=AT_ONCE)
        self._free = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, url: str) -> FetchedMedia:
        try:
            parse(url, self._policy)  # as it was written, before any other parser tidies it
            async with self._free, self._client.stream("GET", url, headers=HEADERS) as response:
                return await self._read(response, url)
        except RefusedError as refusal:
            raise FetchError(f"{_shown(url)} may not be fetched: {refusal}.") from None
        except TooLargeError:
            raise self._too_large(url) from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise FetchError(f"{_shown(url)} could not be fetched: {error}.") from None

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _read(self, response: httpx.Response, url: str) -> FetchedMedia:
        if response.has_redirect_location:
            raise FetchError(f"{_shown(url)} redirects, which is not followed: give its target.")
        if response.status_code != httpx.codes.OK:
            raise FetchError(f"{_shown(url)} could not be fetched: it answered with status "
                             f"{response.status_code}.")  # fmt: skip
        length = response.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._bounds.max_bytes:
            raise self._too_large(url)
        content = b"".join([piece async for piece in response.aiter_raw()])
        stated = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return FetchedMedia(content, stated or None)

    def _too_large(self, url: str) -> FetchError:
        most = self._bounds.max_bytes
        return FetchError(f"{_shown(url)} is larger than {most} bytes.", too_large=True)


def _shown(url: str) -> str:
    """Return a URL without its query, which may hold a signature."""
    try:
        split = urlsplit(url)
        return f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}"[:200]
    except ValueError:
        return "The URL"
