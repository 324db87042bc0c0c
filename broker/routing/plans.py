"""A plan: the endpoints a job tries, in order, with reasons; and its stored form."""

from collections.abc import Sequence
from dataclasses import asdict, replace

import orjson

from broker.completion import Json
from broker.pricing import Price
from broker.providers.endpoints import Endpoint
from broker.requests.operations import Interface
from broker.routing.filters import Exclusion
from broker.values import immutable


@immutable
class PlanStep:
    """One endpoint in a plan, with the reason for its position."""

    endpoint: Endpoint
    reason: str


@immutable
class OcrOffer:
    """The provider that reads the documents of a job by OCR, its price, and the limit of pages."""

    provider: str
    native: str  # the provider's own name of the model
    page_nanos: int
    max_pages: int  # of all documents of the job

    @property
    def max_nanos(self) -> int:
        """Return the most that OCR of the job can cost."""
        return self.page_nanos * self.max_pages


@immutable
class Plan:
    """The endpoints a job tries, in order. Never empty."""

    steps: Sequence[PlanStep]
    excluded: Sequence[Exclusion] = ()
    strategy: str = "balanced"  # the criterion of the order
    seed: int = 0  # the same request, stats and seed give the same plan
    notes: Sequence[str] = ()  # preferences without effect
    choice: Json | None = None  # the note of an auto router about its choice
    ocr: OcrOffer | None = None  # for documents that the caller lets a provider read

    def __getitem__(self, position: int) -> Endpoint:
        return self.steps[position].endpoint

    def __len__(self) -> int:
        return len(self.steps)

    def select(self, positions: Sequence[int], code: str) -> "Plan":
        """Return the plan with these steps only; the others are excluded with `code`."""
        others = [each for n, each in enumerate(self.steps) if n not in positions]
        excluded = (Exclusion(each.endpoint.provider, each.endpoint.model, code) for each in others)
        return replace(
            self, steps=[self.steps[n] for n in positions], excluded=(*self.excluded, *excluded)
        )

    def next_model(self, position: int) -> int | None:
        """Return the first later position with another model, or None."""
        model = self[position].model
        later = range(position + 1, len(self.steps))
        return next((step for step in later if self[step].model != model), None)


MAX_EXCLUSIONS = 50
"""The most exclusions that a stored plan names."""


def encode_plan(plan: Plan) -> bytes:
    """Encode a plan as the JSON that is stored with its job; `decode_plan` reads it back."""
    document: Json = {
        "places": [_encode_step(each) for each in plan.steps],
        "strategy": plan.strategy,
        "seed": plan.seed,
    }
    if plan.excluded:
        document["excluded"] = [
            (each.provider, each.model, each.code, each.detail)
            for each in plan.excluded[:MAX_EXCLUSIONS]
        ]
    if plan.notes:
        document["notes"] = plan.notes
    if plan.choice:
        document["choice"] = plan.choice
    if plan.ocr:
        document["ocr"] = asdict(plan.ocr)
    return orjson.dumps(document)


def decode_plan(stored: bytes) -> Plan:
    """Decode a plan from `encode_plan`, with the fields that an attempt needs."""
    document = orjson.loads(stored)
    if isinstance(document, list):  # only the steps, as stored before 2026-11-25
        document = {"places": document}
    return Plan(
        steps=[_decode_step(step) for step in document["places"]],
        excluded=tuple(Exclusion(*each) for each in document.get("excluded", ())),
        strategy=document.get("strategy", "price"),
        seed=document.get("seed", 0),
        notes=tuple(document.get("notes", ())),
        choice=document.get("choice"),
        ocr=OcrOffer(**document["ocr"]) if "ocr" in document else None,
    )


def _encode_step(step: PlanStep) -> Json:
    endpoint = step.endpoint
    return {
        "provider": endpoint.provider,
        "model": endpoint.model,
        "native_model": endpoint.native,
        "reason": step.reason,
        "price": endpoint.price.encode(),
        **_encode_facts(endpoint),
    }


def _decode_step(step: Json) -> PlanStep:
    endpoint = Endpoint(
        provider=step["provider"],
        model=step["model"],
        native=step["native_model"],
        price=Price.decode(step["price"]),
        context_length=step.get("context_length"),
        input_modalities=_to_set(step.get("input_modalities")),
        supported_parameters=_to_set(step.get("supported_parameters")),
        interface=Interface(step.get("interface", Interface.PATHS)),
        credential=step.get("credential"),
    )
    return PlanStep(endpoint, step["reason"])


def _encode_facts(endpoint: Endpoint) -> Json:
    facts = {
        "input_modalities": endpoint.input_modalities,
        "supported_parameters": endpoint.supported_parameters,
    }
    document: Json = {name: sorted(known) for name, known in facts.items() if known is not None}
    if endpoint.interface is not Interface.PATHS:
        document["interface"] = endpoint.interface
    if endpoint.credential is not None:
        document["credential"] = endpoint.credential
    if endpoint.context_length is not None:
        document["context_length"] = endpoint.context_length
    return document


def _to_set(words: Sequence[str] | None) -> frozenset[str] | None:
    return None if words is None else frozenset(words)
