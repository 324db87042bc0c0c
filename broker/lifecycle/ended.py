"""A job's end, as those who follow from it see it."""

from dataclasses import dataclass
from typing import Protocol

from broker.billing.ledger import Held
from broker.jobs.states import JobState
from broker.usage import Consumption


class EndingJob(Held, Protocol):
    """A row of `jobs` with what its end is about: its hold, and who hears of it."""

    webhook: str | None
    batch_id: str | None
    coalesced_with: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A job in which nothing more happens by itself."""

    job: EndingJob
    state: JobState
    now: int
    consumed: Consumption | None = None  # what is added to the usage
