"""The typed events of a response, from the numbered events of its job. Always the same for a log.

A *run* is what readers see as one answer. It begins again when an attempt has shown a part of its
answer and another attempt follows, or when events are missing. The events of a run after the first
are numbered from a multiple of `ATTEMPT_STEP`, so that no number repeats whatever is missing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import orjson

from broker.completion import ErrorType, Json
from broker.dialects.base import DialectJob
from broker.dialects.responses import answer, ids
from broker.dialects.responses.output_items import COMPLETED, INCOMPLETE, OutputStyle
from broker.dialects.responses.stream_items import OutputStream
from broker.enums import JobState
from broker.events import job_events
from broker.events.job_events import ATTEMPT_STEP, Event

_LAST_EVENTS = {COMPLETED: "response.completed", INCOMPLETE: "response.incomplete"}


class RunTracker:
    """Finds the events at which the answer begins again."""

    def __init__(self) -> None:
        self._last = 0
        self._ended = False
        self.shown = False  # the run has a chunk

    def begins_again(self, event: Event) -> bool:
        """Add the next event; return whether all events before it are replaced."""
        is_begin = event.type in (job_events.RETRYING, job_events.STARTED)
        is_gap = event.number > self._last + 1
        begins = is_begin and (self.shown or self._ended or is_gap)
        self._last = event.number
        if begins:
            self._ended = False
        self.shown = event.is_chunk or (self.shown and not begins)
        self._ended = self._ended or event.is_end
        return begins

    def is_gap(self, event: Event) -> bool:
        """Return whether events are missing before the next event."""
        return event.number > self._last + 1


class ResponseStream:
    """A `StreamTranslator` of the Responses API.

    `superseded` is the number of the event at which the last run began (see `RunTracker`). A reader
    that comes later is shown nothing of the runs before it.
    """

    def __init__(self, job: DialectJob, superseded: int = 0) -> None:
        self._job = job
        self._superseded = superseded
        self._tracker = RunTracker()
        self._next_number = 0
        self._attempt = 0
        self._is_open = False  # `response.created` of this run was returned
        self._is_started = False  # `response.in_progress` of this run was returned
        self._facts: Json = {}  # of the chunks: model, provider, usage
        self._output: OutputStream | None = None
        self._ended = False

    @property
    def shown(self) -> bool:
        return self._tracker.shown

    @property
    def ended(self) -> bool:
        return self._ended

    def open(self) -> Sequence[Json]:
        """Return the events that are known before any event of the job."""
        return [] if self._is_open or self._superseded else self._number(self._open_run())

    def translate(self, event: Event) -> Sequence[Json]:
        is_gap = self._tracker.is_gap(event)
        was_shown = self._tracker.shown
        before: Sequence[Json] = ()
        if self._tracker.begins_again(event):
            before = self._number(self._break_off() if was_shown else ())
            self._begin_run(event)
        elif event.is_end and is_gap:  # its number says that it follows all others
            self._next_number = max(self._next_number, event.number)
        after = self._number(self._translate(event))
        if event.number < self._superseded:
            return ()
        if event.number == self._superseded:
            return after
        self._ended = bool(before) or event.is_end
        return before or after

    def _translate(self, event: Event) -> Iterable[Json]:
        if event.type == job_events.STARTED:
            self._attempt = orjson.loads(event.data)["attempt"]
            yield from self._start_run()
        elif event.is_chunk:
            yield from self._start_run()
            yield from self._add_chunk(orjson.loads(event.data))
        elif event.type == JobState.COMPLETED:
            yield from self._start_run()
            yield from self._finish(orjson.loads(event.data))
        elif event.is_end:
            yield from self._open_run()
            items = () if self._output is None else self._output.list_items()
            response = answer.render_failure(self._job, orjson.loads(event.data), items)
            yield {"type": "response.failed", "response": response}

    def _open_run(self) -> Iterable[Json]:
        if self._is_open:
            return
        self._is_open = True
        is_background = bool(self._job.body.get("background"))
        status = answer.QUEUED if is_background else answer.IN_PROGRESS
        response = answer.render_pending(self._job, status)
        yield {"type": "response.created", "response": response}
        if is_background:
            yield {"type": "response.queued", "response": response}

    def _start_run(self) -> Iterable[Json]:
        yield from self._open_run()
        if not self._is_started:
            self._is_started = True
            response = answer.render_pending(self._job, answer.IN_PROGRESS)
            yield {"type": "response.in_progress", "response": response}

    def _begin_run(self, event: Event) -> None:
        """Forget what was shown, and number the next events above all of the earlier attempts."""
        data = orjson.loads(event.data)
        earlier = data["attempt"] - (event.type == job_events.STARTED)
        self._next_number = max(self._next_number, earlier * ATTEMPT_STEP)
        self._is_open = self._is_started = False
        self._output, self._facts = None, {}

    def _break_off(self) -> Iterable[Json]:
        """End a stream whose answer begins again: what was shown cannot be withdrawn."""
        where = f"/api/v1/responses/{ids.response_id(self._job.id)}"
        yield {
            "type": "error",
            "code": ErrorType.STREAM_INTERRUPTED.value,
            "message": (
                "The worker of this stream was stopped or lost. The response is created again from "
                f"the start: GET {where} for its result, or {where}?stream=true&starting_after="
                f"{self._next_number} for its events."
            ),
            "param": None,
        }

    def _add_chunk(self, chunk: Json) -> Iterable[Json]:
        for name in ("model", "provider", "service_tier", "usage"):
            if chunk.get(name) is not None:
                self._facts[name] = chunk[name]
        for choice in chunk.get("choices") or ():
            if not choice.get("index"):
                yield from self._get_output().add(choice)

    def _finish(self, end: Json) -> Iterable[Json]:
        """Yield what is missing of the answer, and the whole response.

        Only a job that was not streamed has its answer in its last event.
        """
        output, whole = self._get_output(), end.get("response")
        if isinstance(whole, dict) and not self._tracker.shown:
            self._facts = whole
            yield from output.add_whole((whole.get("choices") or [{}])[0])
        found = {**self._facts, "choices": [output.choice()]}
        events, items = output.finish(answer.find_output_status(found))
        yield from events
        job = replace(self._job, completed=end.get("completed_at"))
        response = answer.render_finished(job, found, items)
        yield {"type": _LAST_EVENTS[response["status"]], "response": response}

    def _get_output(self) -> OutputStream:
        if self._output is None:
            self._output = OutputStream(OutputStyle.of(self._job, self._attempt))
        return self._output

    def _number(self, events: Iterable[Json]) -> Sequence[Json]:
        numbered = []
        for event in events:
            event["sequence_number"] = self._next_number
            numbered.append(event)
            self._next_number += 1
        return numbered
