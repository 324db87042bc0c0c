"""A plan: the endpoints a job tries, in order, with the reason for each place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from broker.completion import Json
from broker.providers.endpoints import Endpoint
from broker.routing.filters import Exclusion


@dataclass(frozen=True, slots=True)
class PlannedEndpoint:
    """A place in a plan, with the reason for it."""

    endpoint: Endpoint
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The endpoints a job tries, in order. Never empty."""

    places: Sequence[PlannedEndpoint]
    excluded: Sequence[Exclusion] = ()
    strategy: str = "balanced"  # what ordered the places
    seed: int = 0  # of the dice: the same request, evidence and seed give the same plan
    notes: Sequence[str] = ()  # what in the request had no effect
    choice: Json | None = None  # an auto router's: what it saw, chose, and why

    def __getitem__(self, position: int) -> Endpoint:
        return self.places[position].endpoint

    def __len__(self) -> int:
        return len(self.places)

    def keeping(self, kept: Sequence[int], code: str) -> "Plan":
        """Return the plan with these places only; `code` says why the others have none."""
        left = [each for n, each in enumerate(self.places) if n not in kept]
        out = (Exclusion(each.endpoint.provider, each.endpoint.model, code) for each in left)
        return replace(self, places=[self.places[n] for n in kept], excluded=(*self.excluded, *out))

    def next_model(self, position: int) -> int | None:
        """Return the first later place that serves another model, if there is one."""
        model = self[position].model
        later = range(position + 1, len(self.places))
        return next((place for place in later if self[place].model != model), None)
