"""The translators of streams."""

from collections.abc import Sequence
from typing import Protocol

from broker.completion import Json
from broker.events.job_events import Event


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
