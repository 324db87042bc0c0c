"""The style of a call: the dialect of its body, its answer and its stream."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from broker.completion import Json
from broker.dialects.base import DialectJob, TranslatedRequest
from broker.enums import Dialect
from broker.events.job_events import Event
from broker.submission import JobOptions, NewJob

WARNINGS_HEADER = "X-Waybill-Warnings"
MAX_WARNINGS = 2_000
"""Characters of the header. Warnings may name fields of the caller."""


class StreamRenderer(Protocol):
    """One caller's view of a job as server-sent events."""

    keep_alive: ClassVar[bytes]
    """The bytes that are sent after a while without events."""

    @property
    def job_id(self) -> str:
        """Return the id of the job."""

    @property
    def shown(self) -> bool:
        """Return whether this caller has received a part of the answer."""

    @property
    def ended(self) -> bool:
        """Return whether the stream is over."""

    @property
    def queued_ms(self) -> int | None:
        """Return the milliseconds that the shown attempt waited."""

    def render(self, events: Sequence[Event]) -> bytes:
        """Return the bytes of these events for this caller; without any, those of the beginning."""


class CallStyle(ABC):
    """Renders the answers of calls in a dialect."""

    dialect: ClassVar[Dialect]
    needs_all_attempts: ClassVar[bool] = True
    """A stream is rendered from the events of failed attempts, too."""

    @abstractmethod
    def render_answer(self, job: DialectJob, answer: Json, attempt: int) -> Json:
        """Return the body of the answer; `answer` is the chat completion of an attempt (from 1).

        The attempt is 0 for an answer that another job's call brought.
        """

    @abstractmethod
    def create_stream(self, job: DialectJob) -> StreamRenderer:
        """Return a new renderer of the job's events."""


@dataclass(frozen=True, slots=True)
class DialectCall:
    """One call in a dialect: its body, the translation of the body, and the style of its answer."""

    style: CallStyle
    caller_body: Json
    translated: TranslatedRequest

    def change_options(self, options: JobOptions) -> JobOptions:
        """Return the options of the call's job."""
        return replace(
            options,
            dialect=self.style.dialect,
            caller_body=self.caller_body,
            is_instructed=self.translated.is_instructed,
        )

    def bind(self, job: NewJob) -> "AnswerRenderer":
        """Return the renderer of the answer of this job."""
        created = job.row["created_at"] // 1000
        shown = DialectJob(job.id, job.row["model"], created, self.caller_body)
        return AnswerRenderer(self.style, shown, [*self.translated.warnings, *list_unread(job)])


def list_unread(job: NewJob) -> Sequence[str]:
    """Return the warnings about fields that the first endpoint of a job does not read."""
    return [f"{name}: {job.provider} does not read it" for name in job.unread]


def build_warnings_header(warnings: Sequence[str]) -> Mapping[str, str]:
    """Return the header with these warnings, if there are any."""
    if not warnings:
        return {}
    text = "; ".join(warnings)[:MAX_WARNINGS]
    return {WARNINGS_HEADER: "".join(each if " " <= each <= "~" else "?" for each in text)}


@dataclass(frozen=True, slots=True)
class AnswerRenderer:
    """Renders the answer of one job in a dialect."""

    style: CallStyle
    job: DialectJob
    warnings: Sequence[str] = ()

    @property
    def headers(self) -> Mapping[str, str]:
        """The header with the warnings of the translation, if there are any."""
        return build_warnings_header(self.warnings)

    def render(self, job_id: str, answer: Json, attempt: int, completed: int | None) -> Json:
        """Return the body of the answer; `answer` is the chat completion of an attempt.

        `job_id` differs from the id of `job` when the call repeats an earlier one. `completed` is
        the end of the job in Unix seconds.
        """
        job = replace(self.job, id=job_id, completed=completed)
        return self.style.render_answer(job, answer, attempt)

    def create_stream(self, job_id: str) -> StreamRenderer:
        """Return a new renderer of the events of a job."""
        return self.style.create_stream(replace(self.job, id=job_id))
