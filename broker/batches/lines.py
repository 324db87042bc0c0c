"""Lines of a batch's input, and the inspection of a whole input as it streams in. Pure."""

import hashlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

from broker.batches.options import DIALECT_PATHS, MAX_CUSTOM_ID, OPERATIONS, Options
from broker.completion import Json
from broker.enums import Dialect
from broker.requests import whole_numbers
from broker.requests.operations import Operation

NOT_STREAMED = frozenset({"stream", "stream_options"})


class LineError(Exception):
    """A line that cannot become a job, with the reason. `code` is OpenAI's, if it has one."""

    def __init__(
        self, code: str, message: str, param: str | None = None, custom_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.custom_id = custom_id


@dataclass(frozen=True, slots=True)
class Target:
    """The operation that a URL names, and the dialect of its bodies."""

    operation: Operation
    dialect: Dialect | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A parsed line. Whether its model exists is not checked."""

    custom_id: str
    target: "Target | None"  # None: the batch's
    body: Json
    variant: int = 0  # identical lines with another number have their own cached answers


def read(raw: bytes) -> Line:
    """Parse a line. Raises LineError."""
    try:
        value = whole_numbers.loads(raw)
    except orjson.JSONDecodeError as error:
        raise LineError("invalid_json_line", f"This line is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise LineError("invalid_json_line", "This line is not a JSON object.")
    custom_id = _custom_id(value.get("custom_id"))
    body = value.get("body")
    if not isinstance(body, dict):
        raise LineError(
            "missing_required_parameter", "body: an object is needed.", "body", custom_id
        )
    if value.get("method", "POST") != "POST":
        raise LineError("invalid_method", "method: only POST.", "method", custom_id)
    variant = value.get("variant")
    target = _target(value.get("url"), custom_id)
    return Line(custom_id, target, body, variant if isinstance(variant, int) else 0)


def _custom_id(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CUSTOM_ID or "\0" in value:
        raise LineError(
            "missing_required_parameter",
            f"custom_id: a string of 1 to {MAX_CUSTOM_ID} characters is needed.",
            "custom_id",
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise LineError("invalid_value", "custom_id: not Unicode text.", "custom_id") from None
    return value


def find_target(url: object) -> Target | None:
    """Return the target of a URL, with or without `/api` before it; None for others."""
    path = str(url).removeprefix("/api")
    if dialect := DIALECT_PATHS.get(path):
        return Target(Operation.CHAT, dialect)
    return next((Target(each) for each in OPERATIONS if each.value == path), None)


def list_paths() -> str:
    """Return the paths that lines may request, in words."""
    return ", ".join([*(each.value for each in OPERATIONS), *DIALECT_PATHS])


def _target(url: object, custom_id: str) -> Target | None:
    if url is None:
        return None
    target = find_target(url)
    if target is None:
        message = f"url: {url!r} is none of {list_paths()}."
        raise LineError("invalid_url", message, "url", custom_id)
    return target


def add_defaults(own: Json, options: Options) -> Json:
    """Return a line's body with the defaults of the batch for fields that the line does not set.

    The answer goes into a file, so it is never streamed.
    """
    body = {name: value for name, value in own.items() if name not in NOT_STREAMED}
    if options.model is not None and not body.get("model") and not body.get("models"):
        body["model"] = options.model
    if options.provider is not None:
        body.setdefault("provider", options.provider)
    if options.service_tier is not None:
        body.setdefault("service_tier", options.service_tier)
    return body


def digest(target: Target, body: Json) -> str:
    """Return the digest of a request; identical requests in one dialect have the same."""
    identity = [target.operation.value, body]
    if target.dialect is not None:
        identity.append(target.dialect.value)
    canonical = orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()


LISTED = 100  # problems of a kind that are kept
LONGEST_LINE = 20_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings of an inspection. Stored as JSON in `files.problems` when there are problems."""

    lines: int
    unreadable: int
    duplicates: int
    problems: list[Json] = field(default_factory=list)  # OpenAI's shape: code, line, message, param

    @classmethod
    def load(cls, stored: str, lines: int) -> "Findings":
        """Return the stored findings about an input with so many lines."""
        found = orjson.loads(stored)
        return cls(lines, found["unreadable"], found["duplicates"], found["listed"])

    @property
    def stops_batch(self) -> bool:
        """True if no line may run: none is valid, or a `custom_id` is not unique."""
        return self.duplicates > 0 or self.unreadable >= self.lines

    @property
    def stored(self) -> str | None:
        if not self.problems:
            return None
        counts = {"unreadable": self.unreadable, "duplicates": self.duplicates}
        return orjson.dumps(counts | {"listed": self.problems}).decode()


class Splitter:
    """Splits bytes into lines, each with the offset of its end; skips blank lines.

    A line that is longer than LONGEST_LINE is cut there. It is then no JSON, so it is a bad line.
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
        if self._at == 0:  # programs on Windows write a byte order mark
            line = line.removeprefix(BOM_UTF8)
        self._at += len(self._rest) + self._dropped + newline
        self._rest.clear()
        self._dropped = 0
        if line.strip():
            yield line, self._at


class Inspector:
    """Inspects an input that comes in pieces: counts lines, finds bad and duplicate ones."""

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
