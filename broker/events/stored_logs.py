"""The stored event log of an ended job: compressed while it grows, and read in pages.

A stored log is a sequence of zlib streams, each a page of whole lines (see `job_events.encode`).
Writers and readers never have the whole log in memory.
"""

import zlib
from collections.abc import Iterable

from sqlalchemy import Connection, func, select

from broker.events import job_events
from broker.events.job_events import PAGE_BYTES, RETRYING, Event
from broker.storage.tables import JobPayload, table

SLICE_BYTES = 256 * 1024
"""Bytes of a packed log that are read from the database at once."""

_payloads = table(JobPayload)


class LogPacker:
    """Compresses a log while it grows, so that its events need not stay in memory."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self._page = bytearray()

    def add(self, events: Iterable[Event]) -> bool:
        """Append events; return whether they completed a page."""
        _append(self._page, events)
        if len(self._page) < PAGE_BYTES:
            return False
        self._packed.append(_compress(self._page))
        self._page = bytearray()
        return True

    def pack(self, more: Iterable[Event] = ()) -> bytes:
        """Return the compressed log with `more` at its end; it can still grow."""
        page = bytearray(self._page)
        _append(page, more)
        return b"".join([*self._packed, _compress(page)] if page else self._packed)


def pack(events: Iterable[Event]) -> bytes:
    """Return the compressed log of these events."""
    return LogPacker().pack(events)


class LogReader:
    """Unpacks a log from slices of any size, about a page at a time."""

    def __init__(self) -> None:
        self._unzip = zlib.decompressobj()
        self._packed = b""
        self._partial = b""  # the beginning of an incomplete line

    def feed(self, packed: bytes) -> None:
        """Add the next slice."""
        self._packed += packed

    def page(self) -> list[Event]:
        """Return the next events; none if another slice is needed or the log has ended."""
        while self._packed or not self._unzip.eof:
            text = self._unzip.decompress(self._packed, PAGE_BYTES)
            self._packed = self._unzip.unconsumed_tail
            lines, _, self._partial = (self._partial + text).rpartition(b"\n")
            if self._unzip.eof:  # lines do not go on in the next zlib stream
                lines, self._partial = b"\n".join(filter(None, (lines, self._partial))), b""
                self._packed = self._unzip.unused_data
                self._unzip = zlib.decompressobj()
            if lines:
                return job_events.decode(lines)
            if not text and not self._packed:
                break
        return []


class StoredLog:
    """The stored log of one job above a number, read a page at a time."""

    def __init__(self, job_id: str, after: int = 0) -> None:
        self._job_id = job_id
        self._last = after
        self._offset = 0
        self._reader = LogReader()
        self._skipping = False

    def page(self, connection: Connection) -> list[Event]:
        """Return the next events, none after the last.

        If events of a failed attempt are lost, the rest of that attempt is omitted.
        """
        while events := self._next(connection):
            if page := self._find_readable(events):
                return page
        return []

    def latest_start(self, connection: Connection) -> int:
        """Return the number after which the last attempt begins. This reads the whole log."""
        start = 0
        while events := self._next(connection):
            start = max([start, *(each.number - 1 for each in events if each.type == RETRYING)])
        return start

    def _next(self, connection: Connection) -> list[Event]:
        while not (events := self._reader.page()):
            packed = connection.execute(
                select(func.substr(_payloads.c.events, self._offset + 1, SLICE_BYTES)).where(
                    _payloads.c.job_id == self._job_id
                )
            ).scalar()
            if not packed:
                return []
            self._offset += len(packed)
            self._reader.feed(bytes(packed))
        return events

    def _find_readable(self, events: Iterable[Event]) -> list[Event]:
        page = []
        for event in events:
            if event.number <= self._last:
                continue
            if event.type == RETRYING or event.is_end:
                self._skipping = False
            elif event.number != self._last + 1:
                self._skipping = True
            self._last = event.number
            if not self._skipping:
                page.append(event)
        return page


def _append(page: bytearray, events: Iterable[Event]) -> None:
    lines = job_events.encode(events)
    if page and lines:
        page += b"\n"
    page += lines


def _compress(page: bytearray) -> bytes:
    return zlib.compress(page, level=1)
