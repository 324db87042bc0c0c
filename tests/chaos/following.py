"""A reader of one stream who comes back as often as the connection is lost, until its end."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.e2e.sse import Frame, content, read

ENDS = frozenset({"completed", "failed", "cancelled", "expired", "needs_review"})
ANEW = frozenset({"retrying", "started"})
SECONDS = 180


@dataclass
class Followed:
    """The events read of a job's stream."""

    job_id: str
    last: int = 0  # number of the last event
    end: str = ""
    text: str = ""  # of the attempt that was shown last
    was_cut: bool = False
    flaws: list[str] = field(default_factory=list)

    def take(self, frame: Frame) -> None:
        """Take the next event: it has the next number, or begins anew."""
        if frame.number:
            is_next = frame.number == self.last + 1 or not self.last or frame.name in ANEW
            if frame.number <= self.last:
                self.flaws.append(f"{frame.number} came after {self.last}")
            elif not is_next:
                self.flaws.append(f"a gap between {self.last} and {frame.number}")
            self.last = max(self.last, frame.number)
        if frame.name in ANEW:
            self.text = ""
        self.text += content([frame]) if frame.name in {"", "chunk"} else ""
        if frame.name in ENDS:
            self.end = frame.name


def follow(
    http: httpx.Client,
    body: dict[str, Any],
    judge: Callable[[httpx.Response], None],
) -> Followed | None:
    """Read a stream to the job's end; None where it was refused."""
    with http.stream("POST", "/chat/completions", json=body) as answer:
        if answer.status_code != 200:
            answer.read()
            judge(answer)
            return None
        followed = Followed(answer.headers["x-job-id"])
        try:
            for frame in read(_lines(answer)):
                if frame.data == "[DONE]" or "error" in frame.json:
                    break
                followed.take(frame)
        except httpx.TransportError:
            followed.was_cut = True
    until = time.monotonic() + SECONDS
    while not followed.end and time.monotonic() < until:
        _go_on(http, followed)
    return followed


def _go_on(http: httpx.Client, followed: Followed) -> None:
    """Read on where the last connection ended."""
    after = {"Last-Event-ID": str(followed.last)}
    try:
        with http.stream("GET", f"/jobs/{followed.job_id}/events", headers=after) as answer:
            if answer.status_code == 200:
                for frame in read(_lines(answer)):
                    followed.take(frame)
    except httpx.TransportError:
        pass
    if not followed.end:
        time.sleep(0.3)


def _lines(answer: httpx.Response) -> Iterator[str]:
    lines: Iterable[str] = answer.iter_lines()
    return (line + "\n" for line in lines)
