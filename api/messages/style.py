"""The style of calls in Anthropic's dialect: messages, and their streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import orjson

from api.jobs.streaming import render_frame, skip_failed_attempts
from api.jobs.styles import CallStyle
from broker.completion import Json
from broker.dialects.base import DialectJob
from broker.dialects.messages.answer import render_message
from broker.dialects.messages.stream import MessageStream
from broker.dialects.streams import StreamTranslator
from broker.enums import Dialect
from broker.events import job_events
from broker.events.job_events import Event

PING = b'event: ping\ndata: {"type": "ping"}\n\n'


@dataclass(slots=True)
class MessageEvents:
    """See `StreamRenderer`. The `id:` of an event is the number of the job's event.

    Of several events with the same number only the last has it: a reader that is cut off between
    them gets all of them again.

    A reader that resumes has the events up to the number `after` already.
    """

    keep_alive: ClassVar[bytes] = PING

    job_id: str
    translator: StreamTranslator
    after: int = 0
    queued_ms: int | None = None

    @property
    def shown(self) -> bool:
        return self.translator.shown

    @property
    def ended(self) -> bool:
        return self.translator.ended

    def render(self, events: Sequence[Event]) -> bytes:
        frames: list[bytes] = []
        for event in events if self.shown else skip_failed_attempts(events):
            if event.type == job_events.STARTED:
                self.queued_ms = orjson.loads(event.data).get("queued_ms")
            translated = self.translator.translate(event)
            if event.number > self.after:
                last = len(translated) - 1
                frames += [
                    render_frame(
                        orjson.dumps(each), event.number if place == last else None, each["type"]
                    )
                    for place, each in enumerate(translated)
                ]
        return b"".join(frames)


class MessagesStyle(CallStyle):
    """See `CallStyle`. A stream begins again with the last attempt."""

    dialect = Dialect.MESSAGES
    needs_all_attempts = False

    def render_answer(self, job: DialectJob, answer: Json, attempt: int) -> Json:  # noqa: ARG002
        return render_message(answer, job)

    def create_stream(self, job: DialectJob) -> MessageEvents:
        return MessageEvents(job.id, MessageStream(job))


STYLE = MessagesStyle()
