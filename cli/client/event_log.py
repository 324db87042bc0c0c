"""Read a job's event log to its end. A lost connection is opened again."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from broker.completion import Json
from broker.jobs.states import INACTIVE
from cli.client.client import Client
from cli.client.server import ServerError

PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One numbered event of a job."""

    number: int
    type: str
    data: Json

    @property
    def is_end(self) -> bool:
        return self.type in INACTIVE

    @property
    def text(self) -> str:
        """Return the text that a chunk adds to the answer."""
        choices: list[Any] = self.data.get("choices") or []
        return "".join(
            choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices
        )


def follow(
    client: Client,
    job_id: str,
    *,
    on_gap: Callable[[str], None],
    patience: float = PATIENCE_SECONDS,
    pause: float = PAUSE_SECONDS,
) -> Iterator[LogEvent]:
    """Yield the job's events, each once, to the last.

    A lost connection is opened again after the last event. `on_gap` receives the reason. Raises
    ServerError when the server has been silent for `patience` seconds.
    """
    last, silent_since = 0, time.monotonic()
    while True:
        reason = "the connection was closed"
        try:
            for event in _read(client, job_id, after=last):
                last, silent_since = event.number, time.monotonic()
                yield event
                if event.is_end:
                    return
        except ServerError as error:
            if not error.is_passing or time.monotonic() - silent_since > patience:
                raise
            reason = str(error)
        on_gap(reason)
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # spreads readers, no secret


def _read(client: Client, job_id: str, *, after: int) -> Iterator[LogEvent]:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    with client.lines(f"/jobs/{job_id}/events", headers) as lines:
        yield from parse(lines)


def parse(lines: Iterator[str]) -> Iterator[LogEvent]:
    """Yield the server-sent events of a stream. An incomplete last event is left out."""
    number, type_, data = 0, "message", ""
    for line in lines:
        if not line:
            if data:
                yield LogEvent(number, type_, orjson.loads(data))
            type_, data = "message", ""
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            number = int(value)
        elif name == "event":
            type_ = value
        elif name == "data":
            data += value
