"""The answers and streams of calls in the Responses API."""

from collections.abc import Sequence
from typing import ClassVar

import orjson

from api.jobs.streaming import KEEP_ALIVE
from api.jobs.styles import CallStyle, StreamRenderer
from broker.completion import Json
from broker.dialects.base import DialectJob
from broker.dialects.responses.answer import render_answer
from broker.dialects.responses.stream import ResponseStream
from broker.enums import Dialect
from broker.events import job_events
from broker.events.job_events import Event


class ResponseEvents:
    """One caller's view of a job: the typed events of its response.

    Only events with a number above `after` are sent; `superseded` as for `ResponseStream`.
    """

    keep_alive: ClassVar[bytes] = KEEP_ALIVE

    def __init__(self, job: DialectJob, *, after: int = -1, superseded: int = 0) -> None:
        self._job = job
        self._after = after
        self._stream = ResponseStream(job, superseded)
        self._queued_ms: int | None = None

    @property
    def job_id(self) -> str:
        return self._job.id

    @property
    def shown(self) -> bool:
        return self._stream.shown

    @property
    def ended(self) -> bool:
        return self._stream.ended

    @property
    def queued_ms(self) -> int | None:
        return self._queued_ms

    def render(self, events: Sequence[Event]) -> bytes:
        """Return the bytes of these events; without any, those that begin the stream."""
        found = [*self._stream.open()]
        for event in events:
            if event.type == job_events.STARTED:
                self._queued_ms = orjson.loads(event.data).get("queued_ms")
            if not self._stream.ended:
                found += self._stream.translate(event)
        return b"".join(map(_render_frame, self._skip_read(found)))

    def _skip_read(self, events: Sequence[Json]) -> Sequence[Json]:
        return [each for each in events if each["sequence_number"] > self._after]


def _render_frame(event: Json) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), orjson.dumps(event))


class ResponsesStyle(CallStyle):
    """Renders the answers of POST /responses."""

    dialect = Dialect.RESPONSES

    def render_answer(self, job: DialectJob, answer: Json, attempt: int) -> Json:
        return render_answer(job, answer, attempt)

    def create_stream(self, job: DialectJob) -> StreamRenderer:
        return ResponseEvents(job)


STYLE = ResponsesStyle()
