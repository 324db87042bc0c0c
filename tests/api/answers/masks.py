"""Replace values that change at every run by made-up ones, and shorten long ones.

Two walks bring the same answers then. The ids of one operation's answers are counted from one.
"""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.api.answers.walking import Answers

MOMENT = 1_780_000_000
"""When everything happened, in Unix seconds. What is hours before or after it stays so."""

MOST = 4  # entries that are shown of a list of objects, rows of a table, events of a stream
DURATION = re.compile(r".*_ms|latency|generation_time|p\d+")
DURATION_SHOWN = 120
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
ULID = re.compile(r"(?<=[_-])0[0-9A-HJKMNP-TV-Z]{25}(?![0-9A-DF-NP-Z])")
MADE_UP: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"sk-wb-v1-\w+…\w+"), "sk-wb-v1-Exa…mple"),
    (re.compile(r"sk-wb-v1-\w+(?![\w…])"), "sk-wb-v1-ExampleExampleExample"),
    (re.compile(r"whsec_[\w+/=]+"), "whsec_RXhhbXBsZQ=="),
    (re.compile(r"\b(token|signature)=[\w-]+"), r"\1=Example"),
    (re.compile(r"\bexpires=\d+"), f"expires={MOMENT + 3600}"),
    (re.compile(r"^[\w-]{43}$"), "ExampleCode"),
    (re.compile(r"^[0-9a-f]{64}$"), "e" * 64),
    (re.compile(r"chatcmpl-[0-9a-f]{32}"), "chatcmpl-example"),
    (re.compile(r"http://127\.0\.0\.1:\d+/hooks"), "https://example.com/hooks"),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "https://waybill.example.com"),
    (re.compile(r"^127\.0\.0\.1$"), "203.0.113.7"),
)


def masked(answers: Answers, now: float) -> Answers:
    """Return the answers of a walk that took place about now, as examples."""
    return {
        operation: {
            status: {media: _whole(mask, media, answer) for media, answer in by_media.items()}
            for status, by_media in by_status.items()
        }
        for operation, by_status in answers.items()
        for mask in [Mask(now)]
    }


def _whole(mask: "Mask", media: str, answer: Any) -> Any:
    texts: dict[str, Callable[[Mask, str], str]] = {
        "text/csv": _table,
        "text/event-stream": _stream,
        "application/jsonl": _lines,
        "application/x-jsonl": _lines,
        "text/plain": _samples,
    }
    return texts[media](mask, answer) if media in texts else mask(answer)


@dataclass
class Mask:
    """Replaces what is new each time in any JSON value."""

    now: float
    ids: dict[str, int] = field(default_factory=dict)

    def __call__(self, value: Any, name: str = "") -> Any:
        match value:
            case dict():
                return {key: self(each, key) for key, each in value.items()}
            case list():
                shown = value[:MOST] if value and isinstance(value[0], dict) else value
                return [self(each, name) for each in shown]
            case str():
                return self._text(value)
            case int() | float() if not isinstance(value, bool):
                return self._number(value, name)
        return value

    def _number(self, value: float, name: str) -> float:
        if name == "seed":
            return 1
        if DURATION.fullmatch(name):
            return DURATION_SHOWN
        return self._moment(value) if abs(value - self.now) < 90 * 86_400 else value

    def _moment(self, seconds: float) -> int:
        """Return a time that is as many hours away from MOMENT as this one is from now."""
        if seconds % 86_400 == 0:  # the first moment of today, or of tomorrow
            return MOMENT - MOMENT % 86_400 + (86_400 if seconds > self.now else 0)
        return MOMENT + round((seconds - self.now) / 3600) * 3600

    def _text(self, value: str) -> str:
        value = TIME.sub(self._time, value)
        value = re.sub(r"^20\d\d-\d\d-\d\d$", self._date, value)
        value = ULID.sub(self._id, value)
        for pattern, shown in MADE_UP:
            value = pattern.sub(shown, value)
        return value

    def _time(self, found: re.Match[str]) -> str:
        moment = self._moment(datetime.fromisoformat(found[0]).timestamp())
        shown = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{shown}{re.sub('[0-9]', '0', found[1] or '')}{found[2]}"

    def _date(self, found: re.Match[str]) -> str:
        today = datetime.fromtimestamp(self.now, UTC).date()
        before = today - datetime.fromisoformat(found[0]).date()
        return f"{datetime.fromtimestamp(MOMENT, UTC).date() - timedelta(before.days)}"

    def _id(self, found: re.Match[str]) -> str:
        number = self.ids.setdefault(found[0], len(self.ids) + 1)
        return f"01EXAMPLE{number:017d}"


def _table(mask: Mask, text: str) -> str:
    rows = list(csv.DictReader(io.StringIO(text)))[:MOST]
    shown = io.StringIO()
    writer = csv.DictWriter(shown, rows[0])
    writer.writeheader()
    writer.writerows({name: mask(_read(cell), name) for name, cell in row.items()} for row in rows)
    return shown.getvalue()


def _read(cell: str) -> Any:
    return int(cell) if cell.isdecimal() else cell


def _stream(mask: Mask, text: str) -> str:
    events = [each for each in text.split("\n\n") if each.strip("\n")]
    if len(events) > MOST:
        events = [*events[: MOST // 2], ": and so on", *events[-MOST // 2 :]]
    return "".join(_lines(mask, each) + "\n\n" for each in events)


def _lines(mask: Mask, text: str) -> str:
    return re.sub(
        r"^(data: |)(\{.*\})$",
        lambda found: found[1] + json.dumps(mask(json.loads(found[2])), ensure_ascii=False),
        text,
        flags=re.MULTILINE,
    )


def _samples(_: Mask, text: str) -> str:
    """Return Prometheus' text with one sample of each metric, whose value does not matter."""
    metrics = ["# HELP" + each for each in text.split("# HELP")[1:]]
    shown = "".join("\n".join(each.splitlines()[:3]) + "\n" for each in metrics)
    return re.sub(r"^([^#].*) \S+$", r"\1 1.0", shown, flags=re.MULTILINE)
