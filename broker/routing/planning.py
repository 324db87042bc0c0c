"""Plan which endpoints serve a request, in which order, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from broker.completion import Json
from broker.providers.endpoint_stats import NO_SNAPSHOT, Snapshot
from broker.providers.endpoints import Endpoint
from broker.routing.auto_router import ANY_CHOICE, ROUTERS, AutoOptions, Fits, Router
from broker.routing.auto_router import FREE as FREE_ROUTER
from broker.routing.candidates import PROBE_EVERY, Assessor, Candidate
from broker.routing.filters import FREE, Exclusion, filters, matches, refuse, refuse_choice, sift
from broker.routing.ordering import Seed, order
from broker.routing.plans import Plan, PlanStep
from broker.routing.preferences import (
    NO_PREFERENCES,
    SORTS,
    Preferences,
    Sort,
    Variant,
    split_variant,
)
from broker.routing.requirements import NO_REQUIREMENTS, Requirements

MAX_STEPS = 12
"""The most endpoints of one model in a plan. It is more than a job has attempts."""


@dataclass(frozen=True, slots=True)
class RoutingRequest:
    """A request to route: models in order, requirements and preferences."""

    models: Sequence[str]
    requirements: Requirements = NO_REQUIREMENTS
    preferences: Preferences = NO_PREFERENCES
    choice: AutoOptions = ANY_CHOICE  # where a router is asked to choose the model


@dataclass(frozen=True, slots=True)
class RoutingContext:
    """The inputs of a plan besides the request."""

    snapshot: Snapshot = NO_SNAPSHOT
    affinity: Mapping[str, str] = field(
        default_factory=dict
    )  # model slug → provider that remembers
    seed: int = 0
    fits: Fits = field(default_factory=dict)  # how well models do tasks


ORDINARY = RoutingContext()


@dataclass(frozen=True, slots=True)
class _Group:
    """Candidates that are ordered together."""

    sort: Sort | None
    candidates: list[Candidate]


def plan(
    request: RoutingRequest,
    endpoints: Mapping[str, Sequence[Endpoint]],
    context: RoutingContext = ORDINARY,
) -> Plan:
    """Return the endpoints that may serve `request`, in the order to try them.

    `endpoints` holds the endpoints of each name in `request.models`, and those that a router
    (`waybill/auto`) may choose from; a fallback model that nobody serves is passed
    over. The same arguments give the same plan. Raises NoEndpointError that says what left nothing.
    """
    chosen = _choose_models(request, endpoints, context)
    groups, excluded = _groups(request, chosen, endpoints, context)
    excluded += chosen.excluded
    if not groups:
        refuse(
            request.models,
            request.requirements,
            filters(request.requirements, request.preferences),
            excluded,
        )
    steps: list[PlanStep] = []
    seed = Seed(context.seed)
    for group in groups:
        names = request.preferences.order
        placed = order(group.candidates, request.requirements, seed, sort=group.sort, names=names)
        kept = _max_steps(request.preferences)
        steps += [PlanStep(each.endpoint, _reason(each, why)) for each, why in placed[:kept]]
        excluded += [_beyond(each.endpoint, request.preferences) for each, _ in placed[kept:]]
    return Plan(
        steps=steps,
        excluded=tuple(excluded),
        strategy=_strategy(groups[0].sort, request.preferences),
        seed=context.seed,
        notes=tuple(_notes(request.preferences, endpoints)),
        choice=chosen.note,
    )


class _ModelChoice(NamedTuple):
    """The models to plan for, and what a router has to say of its part in them."""

    models: Sequence[str]
    note: Json | None = None
    excluded: Sequence[Exclusion] = ()
    free: bool = False  # nothing may cost


def _choose_models(
    request: RoutingRequest, endpoints: Mapping[str, Sequence[Endpoint]], context: RoutingContext
) -> _ModelChoice:
    """Put a router's choices in its place."""
    position = next((n for n, name in enumerate(request.models) if name in ROUTERS), None)
    if position is None:
        return _ModelChoice(request.models)
    named = [name for name in request.models if name not in ROUTERS]
    kind = ROUTERS[request.models[position]]
    conditions = filters(request.requirements, request.preferences)
    is_free = kind == FREE_ROUTER
    router = Router(
        kind=kind,
        choice=request.choice,
        fits=context.fits,
        assessor=_assessor(request, context),
        conditions=[*conditions, FREE] if is_free else conditions,
        sort=request.preferences.sort,
        seed=context.seed,
    )
    others = dict(endpoints)
    for name in request.models:
        others.pop(name, None)
    picks, note, excluded = router.choose(others)
    if not (picks or named or excluded):
        refuse_choice(request.models[position], len(others))
    models = [*named[:position], *picks, *named[position:]]
    return _ModelChoice(models, note, excluded, is_free)


def _groups(
    request: RoutingRequest,
    chosen: _ModelChoice,
    endpoints: Mapping[str, Sequence[Endpoint]],
    context: RoutingContext,
) -> tuple[list[_Group], list[Exclusion]]:
    """Return who may serve, in groups that are ordered one after the other, and who may not."""
    assessor = _assessor(request, context)
    conditions = filters(request.requirements, request.preferences)
    conditions += [FREE] if chosen.free else []
    groups: list[_Group] = []
    excluded: list[Exclusion] = []
    for rank, name in enumerate(chosen.models):
        served = endpoints.get(name, ())
        variant = _variant(name, served)
        own = [*conditions, FREE] if variant is Variant.FREE else conditions
        kept, stopped = sift(served, own)
        excluded += stopped
        if kept:
            sort = (
                SORTS.get(variant, request.preferences.sort)
                if variant
                else request.preferences.sort
            )
            groups.append(_Group(sort, [assessor.candidate(each, rank) for each in kept]))
    return _join(groups) if request.preferences.across_models else groups, excluded


def _assessor(request: RoutingRequest, context: RoutingContext) -> Assessor:
    return Assessor(
        request.requirements,
        request.preferences,
        context.snapshot,
        context.affinity,
        probing=context.seed % PROBE_EVERY == 0,
    )


def _variant(name: str, served: Sequence[Endpoint]) -> Variant | None:
    """Return how a name's suffix says to route it, if it is not part of the model's own name."""
    if ":" not in name or not served or served[0].model == name:
        return None
    return split_variant(name)[1]


def _join(groups: list[_Group]) -> list[_Group]:
    """Put all models' candidates together, to be ordered as the first model's are."""
    return [
        replace(first, candidates=[each for group in groups for each in group.candidates])
        for first in groups[:1]
    ]


def _max_steps(preferences: Preferences) -> int:
    """Return how many endpoints of a group may be tried."""
    return MAX_STEPS if preferences.allow_fallbacks or preferences.order else 1


def _beyond(endpoint: Endpoint, preferences: Preferences) -> Exclusion:
    code = "beyond_places" if preferences.allow_fallbacks else "no_fallbacks"
    return Exclusion(endpoint.provider, endpoint.model, code)


def _reason(candidate: Candidate, why: str) -> str:
    model = "requested model" if candidate.rank == 0 else f"fallback model {candidate.rank}"
    return f"{model}, {why}"


def _strategy(sort: Sort | None, preferences: Preferences) -> str:
    if preferences.order:
        return "order"
    return "balanced" if sort is None else sort.value


def _notes(preferences: Preferences, endpoints: Mapping[str, Sequence[Endpoint]]) -> Iterator[str]:
    """Say which names in the preferences meant nobody: a misspelt one would go unnoticed."""
    for field_name, slugs in (
        ("order", preferences.order),
        ("only", preferences.only or ()),
        ("ignore", preferences.ignore),
        ("options", preferences.options),
    ):
        for slug in sorted(slugs):
            if not any(matches(each, slug) for served in endpoints.values() for each in served):
                yield f"provider.{field_name}: {slug} serves none of these models here"
