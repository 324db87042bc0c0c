"""A plan: the endpoints a job tries, in order, with the reason for each place."""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.routing.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class PlannedEndpoint:
    """A place in a plan, with the reason for it."""

    endpoint: Endpoint
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The endpoints a job tries, in order. Never empty."""

    places: Sequence[PlannedEndpoint]

    def __getitem__(self, position: int) -> Endpoint:
        return self.places[position].endpoint

    def __len__(self) -> int:
        return len(self.places)

    def next_model(self, position: int) -> int | None:
        """Return the first later place that serves another model, if there is one."""
        model = self[position].model
        later = range(position + 1, len(self.places))
        return next((place for place in later if self[place].model != model), None)
