"""Types that the dialects share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from broker.completion import Json
from broker.events.job_events import Event


@dataclass(frozen=True, slots=True)
class TranslatedRequest:
    """A caller's body in the internal form."""

    body: Json  # a chat body
    warnings: Sequence[str] = ()  # what the internal form cannot express
    is_instructed: bool = False  # the first message is for this request only, not for later turns


@dataclass(frozen=True, slots=True)
class DialectJob:
    """A job as a dialect renders it."""

    id: str  # job_…
    model: str  # the slug of the requested model
    created: int  # Unix seconds
    body: Json  # the caller's body, in the dialect; empty once it was deleted


class StreamTranslator(Protocol):
    """Translates the events of one job to the events of a dialect, always in the same way.

    A reader that resumes translates the job's log from its first event again.
    """

    @property
    def shown(self) -> bool:
        """Return whether a part of the answer was translated."""

    @property
    def ended(self) -> bool:
        """Return whether the last event of the dialect was returned."""

    def translate(self, event: Event) -> Sequence[Json]:
        """Return the events of the dialect for an event of the job; each has its `type`."""
