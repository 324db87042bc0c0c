"""A batch's input looked through as it streams in: how many lines, which cannot be read.

Holds one line and a digest of each custom_id in memory, however large the file is.
"""

import hashlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

from broker.batches.lines import LineError, read
from broker.completion import Json

LISTED = 100  # problems of a kind that are kept
LONGEST_LINE = 20_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Findings:
    """What an inspection found. Kept as JSON in `files.problems` where something is wrong."""

    lines: int
    unreadable: int
    duplicates: int
    problems: list[Json] = field(default_factory=list)  # OpenAI's shape: code, line, message, param

    @property
    def stored(self) -> str | None:
        if not self.problems:
            return None
        counts = {"unreadable": self.unreadable, "duplicates": self.duplicates}
        return orjson.dumps(counts | {"listed": self.problems}).decode()


class Splitter:
    """Bytes in pieces of any size → lines that are not blank, each with its end in the file.

    A line longer than may be is given as far as it was kept: no JSON, so it is a bad line.
    """

    def __init__(self, at: int = 0) -> None:
        self._rest = bytearray()
        self._at = at  # bytes before the rest
        self._dropped = 0  # bytes of an overlong line

    def feed(self, piece: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield the lines that this piece ends, with the offset after each."""
        *whole, rest = piece.split(b"\n")
        for part in whole:
            self._keep(part)
            yield from self._line(newline=1)
        self._keep(rest)

    def end(self) -> Iterator[tuple[bytes, int]]:
        """Yield the last line, where no newline ended it."""
        yield from self._line(newline=0)

    def _keep(self, part: bytes) -> None:
        room = max(LONGEST_LINE - len(self._rest), 0)
        self._rest += part[:room]
        self._dropped += max(len(part) - room, 0)

    def _line(self, newline: int) -> Iterator[tuple[bytes, int]]:
        line = bytes(self._rest)
        if self._at == 0:  # Windows' programs begin files with a mark
            line = line.removeprefix(BOM_UTF8)
        self._at += len(self._rest) + self._dropped + newline
        self._rest.clear()
        self._dropped = 0
        if line.strip():
            yield line, self._at


class Inspector:
    """Looks at an input as it goes by."""

    def __init__(self) -> None:
        self._splitter = Splitter()
        self._lines = 0
        self._unreadable: list[Json] = []
        self._duplicates: list[Json] = []
        self._counts = [0, 0]
        self._seen: set[bytes] = set()

    def feed(self, piece: bytes) -> None:
        for line, _ in self._splitter.feed(piece):
            self._look(line)

    def findings(self) -> Findings:
        """End the inspection."""
        for line, _ in self._splitter.end():
            self._look(line)
        unreadable, duplicates = self._counts
        problems = [*self._duplicates, *self._unreadable]
        return Findings(self._lines, unreadable, duplicates, problems)

    def _look(self, raw: bytes) -> None:
        self._lines += 1
        try:
            custom_id = read(raw).custom_id
        except LineError as error:
            self._counts[0] += 1
            self._list(self._unreadable, error.code, error.message, error.param)
            if error.custom_id is None:
                return
            custom_id = error.custom_id
        digest = hashlib.blake2b(custom_id.encode(), digest_size=12).digest()
        if digest in self._seen:
            self._counts[1] += 1
            message = f"custom_id {custom_id!r} is that of another line."
            self._list(self._duplicates, "duplicate_custom_id", message, "custom_id")
        self._seen.add(digest)

    def _list(self, where: list[Json], code: str, message: str, param: str | None) -> None:
        if len(where) < LISTED:
            where.append({"code": code, "line": self._lines, "message": message, "param": param})
