"""A plan: the endpoints a job tries, in order, with reasons; and its stored form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from broker.completion import Json
from broker.pricing import Price
from broker.providers.endpoints import Endpoint
from broker.routing.filters import Exclusion


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One endpoint in a plan, with the reason for its position."""

    endpoint: Endpoint
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The endpoints a job tries, in order. Never empty."""

    steps: Sequence[PlanStep]
    excluded: Sequence[Exclusion] = ()
    strategy: str = "balanced"  # what ordered the steps
    seed: int = 0  # the same request, stats and seed give the same plan
    notes: Sequence[str] = ()  # what in the request had no effect
    choice: Json | None = None  # an auto router's: what it saw, chose, and why

    def __getitem__(self, position: int) -> Endpoint:
        return self.steps[position].endpoint

    def __len__(self) -> int:
        return len(self.steps)

    def keeping(self, kept: Sequence[int], code: str) -> "Plan":
        """Return the plan with these steps only; the others are excluded with `code`."""
        left = [each for n, each in enumerate(self.steps) if n not in kept]
        out = (Exclusion(each.endpoint.provider, each.endpoint.model, code) for each in left)
        return replace(self, steps=[self.steps[n] for n in kept], excluded=(*self.excluded, *out))

    def next_model(self, position: int) -> int | None:
        """Return the first later position with another model, or None."""
        model = self[position].model
        later = range(position + 1, len(self.steps))
        return next((step for step in later if self[step].model != model), None)


MOST_EXCLUSIONS = 50
"""The most exclusions that a stored plan names."""


def encode(planned: Plan) -> bytes:
    """Encode a plan as the JSON that is stored with its job; `decode` reads it back."""
    details: Json = {
        "places": [_encode_step(each) for each in planned.steps],
        "strategy": planned.strategy,
        "seed": planned.seed,
    }
    if planned.excluded:
        details["excluded"] = [
            (each.provider, each.model, each.code, each.detail)
            for each in planned.excluded[:MOST_EXCLUSIONS]
        ]
    if planned.notes:
        details["notes"] = planned.notes
    if planned.choice:
        details["choice"] = planned.choice
    return orjson.dumps(details)


def decode(stored: bytes) -> Plan:
    """Read back what `encode` wrote: what an attempt needs, prices as they were quoted."""
    details = orjson.loads(stored)
    if isinstance(details, list):  # the places alone, as they were stored before 2026-11-25
        details = {"places": details}
    return Plan(
        steps=[_read_step(step) for step in details["places"]],
        excluded=tuple(Exclusion(*each) for each in details.get("excluded", ())),
        strategy=details.get("strategy", "price"),
        seed=details.get("seed", 0),
        notes=tuple(details.get("notes", ())),
        choice=details.get("choice"),
    )


def _encode_step(planned: PlanStep) -> Json:
    endpoint = planned.endpoint
    return {
        "provider": endpoint.provider,
        "model": endpoint.model,
        "native_model": endpoint.native,
        "reason": planned.reason,
        "price": endpoint.price.stored(),
        **_facts(endpoint),
    }


def _read_step(step: Json) -> PlanStep:
    endpoint = Endpoint(
        provider=step["provider"],
        model=step["model"],
        native=step["native_model"],
        price=Price.recalled(step["price"]),
        context_length=step.get("context_length"),
        input_modalities=_set(step.get("input_modalities")),
        supported_parameters=_set(step.get("supported_parameters")),
        credential=step.get("credential"),
    )
    return PlanStep(endpoint, step["reason"])


def _facts(endpoint: Endpoint) -> Json:
    facts = {
        "input_modalities": endpoint.input_modalities,
        "supported_parameters": endpoint.supported_parameters,
    }
    details: Json = {name: sorted(known) for name, known in facts.items() if known is not None}
    if endpoint.credential is not None:
        details["credential"] = endpoint.credential
    if endpoint.context_length is not None:
        details["context_length"] = endpoint.context_length
    return details


def _set(words: Sequence[str] | None) -> frozenset[str] | None:
    return None if words is None else frozenset(words)
