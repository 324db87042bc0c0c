"""The event log of an ended job as the database keeps it: packed as it grows, read page by page.

A stored log is a row of zlib streams, each a page of whole lines (see `events.encode`). Neither who
writes it nor who reads it ever holds all of it.
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
    """Packs a log while it is told, so that its events need not stay in memory."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self._page = bytearray()

    def add(self, told: Iterable[Event]) -> bool:
        """Append events; return whether they completed a page."""
        _append(self._page, told)
        if len(self._page) < PAGE_BYTES:
            return False
        self._packed.append(_compressed(self._page))
        self._page = bytearray()
        return True

    def packed(self, untold: Iterable[Event] = ()) -> bytes:
        """Return the log with `untold` at its end; it can still grow."""
        page = bytearray(self._page)
        _append(page, untold)
        return b"".join([*self._packed, _compressed(page)] if page else self._packed)


def pack(told: Iterable[Event]) -> bytes:
    """Return a log that is known at once."""
    return LogPacker().packed(told)


class LogReader:
    """Unpacks a log from slices of any size, about a page at a time."""

    def __init__(self) -> None:
        self._unzip = zlib.decompressobj()
        self._packed = b""
        self._partial = b""  # a line whose end is not unpacked yet

    def feed(self, packed: bytes) -> None:
        """Take the next slice in."""
        self._packed += packed

    def page(self) -> list[Event]:
        """Return the next events; none where another slice is needed, or nothing follows."""
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

        Where the log lost some of an attempt that was given up, the rest of that attempt is left
        out.
        """
        while told := self._next(connection):
            if page := self._readable(told):
                return page
        return []

    def latest_start(self, connection: Connection) -> int:
        """Return the number after which the last attempt begins. This reads the whole log."""
        start = 0
        while told := self._next(connection):
            start = max([start, *(each.number - 1 for each in told if each.type == RETRYING)])
        return start

    def _next(self, connection: Connection) -> list[Event]:
        while not (told := self._reader.page()):
            packed = connection.execute(
                select(func.substr(_payloads.c.events, self._offset + 1, SLICE_BYTES)).where(
                    _payloads.c.job_id == self._job_id
                )
            ).scalar()
            if not packed:
                return []
            self._offset += len(packed)
            self._reader.feed(bytes(packed))
        return told

    def _readable(self, told: Iterable[Event]) -> list[Event]:
        page = []
        for event in told:
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


def _append(page: bytearray, told: Iterable[Event]) -> None:
    lines = job_events.encode(told)
    if page and lines:
        page += b"\n"
    page += lines


def _compressed(page: bytearray) -> bytes:
    return zlib.compress(page, level=1)
