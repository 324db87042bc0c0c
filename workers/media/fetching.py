"""Fetching of attachments through the guard, and a bound on the bytes in a worker's memory."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

import httpx

from broker.settings import Settings
from workers.egress import Bounds, Policy, RefusedError, TooLargeError, create_guarded_client, parse

FETCH_SECONDS = 30.0
AT_ONCE = 32  # in one worker process: each holds up to max_media_bytes
HEADERS = {"user-agent": "Waybill (media fetcher)", "accept": "*/*"}


@dataclass(frozen=True, slots=True)
class FetchedMedia:
    """The content of a URL."""

    content: bytes
    mime: str | None = None  # as its server stated it, lower-case, without parameters


class FetchError(Exception):
    """The fetch failed. The text has the reason for the caller."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


Fetch: TypeAlias = Callable[[str], Awaitable[FetchedMedia]]


class Fetcher:
    """Client that fetches one URL for each call. Raises FetchError."""

    def __init__(self, settings: Settings) -> None:
        self._policy = Policy(networks=settings.allowed_networks)
        self._bounds = Bounds(settings.max_media_bytes, FETCH_SECONDS)
        self._client = create_guarded_client(self._policy, self._bounds, connections=AT_ONCE)
        self._free = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, url: str) -> FetchedMedia:
        try:
            parse(url, self._policy)  # as it was written, before another parser changes it
            async with self._free, self._client.stream("GET", url, headers=HEADERS) as response:
                return await self._read(response, url)
        except RefusedError as refusal:
            raise FetchError(f"{_without_query(url)} may not be fetched: {refusal}.") from None
        except TooLargeError:
            raise self._too_large(url) from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise FetchError(f"{_without_query(url)} could not be fetched: {error}.") from None

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _read(self, response: httpx.Response, url: str) -> FetchedMedia:
        if response.has_redirect_location:
            raise FetchError(
                f"{_without_query(url)} redirects, which is not followed: give its target."
            )
        if response.status_code != httpx.codes.OK:
            raise FetchError(f"{_without_query(url)} could not be fetched: it answered with status "
                             f"{response.status_code}.")  # fmt: skip
        length = response.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._bounds.max_bytes:
            raise self._too_large(url)
        content = b"".join([piece async for piece in response.aiter_raw()])
        stated = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return FetchedMedia(content, stated or None)

    def _too_large(self, url: str) -> FetchError:
        most = self._bounds.max_bytes
        return FetchError(f"{_without_query(url)} is larger than {most} bytes.", too_large=True)


def _without_query(url: str) -> str:
    """Return a URL without its query, which may hold a signature."""
    try:
        split = urlsplit(url)
        return f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}"[:200]
    except ValueError:
        return "The URL"


SMALL_BYTES = 256 * 1024
"""A body below this size is not counted."""


def body_size(body: bytes) -> int:
    """Return the bytes to count for the body of a job."""
    return len(body) if len(body) >= SMALL_BYTES else 0


class MediaReservation:
    """The bytes that one call reserves."""

    def __init__(self, room: "MediaMemory", workspace_id: str, size: int) -> None:
        self._room = room
        self.workspace_id = workspace_id
        self.size = size
        self.granted = asyncio.get_running_loop().create_future()

    def shrink(self, size: int) -> None:
        """Release the bytes above `size`."""
        self._room.resize(self, min(size, self.size))


class MediaMemory:
    """The memory for attachments that all calls of a worker share, in their order.

    A workspace with calls in flight gets at most half, so that others find room.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[str] = Counter()  # bytes by workspace
        self._waiting: list[MediaReservation] = []

    @property
    def held(self) -> int:
        """Return the bytes that are reserved now."""
        return self._held.total()

    @asynccontextmanager
    async def hold(self, workspace_id: str, size: int) -> AsyncIterator[MediaReservation]:
        """Reserve `size` bytes for the block, when there is room.

        A reservation that is larger than all the room gets it alone.
        """
        reservation = MediaReservation(self, workspace_id, size)
        self._waiting.append(reservation)
        self._grant()
        try:
            await reservation.granted
            yield reservation
        finally:
            if reservation in self._waiting:
                self._waiting.remove(reservation)
            else:
                self.resize(reservation, 0)

    def resize(self, reservation: MediaReservation, size: int) -> None:
        """Change the bytes of a reservation."""
        self._held[reservation.workspace_id] += size - reservation.size
        reservation.size = size
        if not self._held[reservation.workspace_id]:
            del self._held[reservation.workspace_id]
        self._grant()

    def _grant(self) -> None:
        for reservation in tuple(self._waiting):
            if self._fits(reservation):
                self._waiting.remove(reservation)
                self._held[reservation.workspace_id] += reservation.size
                if not reservation.granted.done():
                    reservation.granted.set_result(None)

    def _fits(self, reservation: MediaReservation) -> bool:
        own = self._held[reservation.workspace_id]
        if own and own + reservation.size > self._most // 2:
            return False
        return not self.held or self.held + reservation.size <= self._most
