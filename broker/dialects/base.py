"""Types that the dialects share."""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.completion import Json


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
    completed: int | None = None  # Unix seconds, once it has an answer
