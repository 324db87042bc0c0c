"""Bound the bytes of attachments that a worker process holds: calls with more wait."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SMALL_BYTES = 256 * 1024
"""A body below this size is not counted."""


def body_size(body: bytes) -> int:
    """Return what a call holds for the body of its job."""
    return len(body) if len(body) >= SMALL_BYTES else 0


class MediaReservation:
    """The bytes that one call holds."""

    def __init__(self, room: "MediaMemory", workspace_id: str, size: int) -> None:
        self._room = room
        self.workspace_id = workspace_id
        self.size = size
        self.granted = asyncio.get_running_loop().create_future()

    def shrink(self, size: int) -> None:
        """Give back what is not needed after all."""
        self._room.resize(self, min(size, self.size))


class MediaMemory:
    """Shared by the calls of a worker, in the order in which they come.

    One workspace never takes more than half while it has calls in flight, so that others find room.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[str] = Counter()  # bytes by workspace
        self._waiting: list[MediaReservation] = []

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._held.total()

    @asynccontextmanager
    async def hold(self, workspace_id: str, size: int) -> AsyncIterator[MediaReservation]:
        """Wait until there is room for `size` bytes, and hold them meanwhile.

        What is larger than all room has it alone.
        """
        place = MediaReservation(self, workspace_id, size)
        self._waiting.append(place)
        self._grant()
        try:
            await place.granted
            yield place
        finally:
            if place in self._waiting:
                self._waiting.remove(place)
            else:
                self.resize(place, 0)

    def resize(self, place: MediaReservation, size: int) -> None:
        """Hold fewer bytes for a call."""
        self._held[place.workspace_id] += size - place.size
        place.size = size
        if not self._held[place.workspace_id]:
            del self._held[place.workspace_id]
        self._grant()

    def _grant(self) -> None:
        for place in tuple(self._waiting):
            if self._fits(place):
                self._waiting.remove(place)
                self._held[place.workspace_id] += place.size
                if not place.granted.done():
                    place.granted.set_result(None)

    def _fits(self, place: MediaReservation) -> bool:
        own = self._held[place.workspace_id]
        if own and own + place.size > self._most // 2:
            return False
        return not self.held or self.held + place.size <= self._most
