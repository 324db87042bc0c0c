"""Plan the endpoints that serve a request, in order, with reasons."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import NamedTuple

from broker.completion import Json
from broker.providers.endpoint_stats import NO_SNAPSHOT, Snapshot
from broker.providers.endpoints import Endpoint
from broker.routing.auto_router import ANY_CHOICE, ROUTERS, AutoOptions, Fits, Router
from broker.routing.auto_router import FREE as FREE_ROUTER
from broker.routing.candidates import PROBE_EVERY, Assessor, Candidate
from broker.routing.filters import (
    FREE,
    Exclusion,
    apply_filters,
    filters,
    matches,
    refuse,
    refuse_choice,
)
from broker.routing.ordering import Seed, order_candidates
from broker.routing.plans import OcrOffer, Plan, PlanStep
from broker.routing.preferences import (
    NO_PREFERENCES,
    SORTS,
    Preferences,
    Sort,
    Variant,
    split_variant,
)
from broker.routing.requirements import NO_REQUIREMENTS, Requirements
from broker.values import immutable

MAX_STEPS = 12
"""The most endpoints of one model in a plan. It is more than a job has attempts."""


@immutable
class RoutingRequest:
    """A request to route: models in order, requirements and preferences."""

    models: Sequence[str]
    requirements: Requirements = NO_REQUIREMENTS
    preferences: Preferences = NO_PREFERENCES
    choice: AutoOptions = ANY_CHOICE  # for a router in `models`


@immutable
class RoutingContext:
    """The inputs of a plan besides the request."""

    snapshot: Snapshot = NO_SNAPSHOT
    affinity: Mapping[str, str] = field(
        default_factory=dict
    )  # model slug → provider with the prompt cache
    seed: int = 0
    fits: Fits = field(default_factory=dict)  # of models for tasks
    ocr: OcrOffer | None = None  # for the documents of the request


ORDINARY = RoutingContext()


@immutable
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
    (`waybill/auto`) may choose from. A fallback model without endpoints is skipped. The same
    arguments give the same plan. Raises NoEndpointError that names the failed conditions.
    """
    chosen = _choose_models(request, endpoints, context)
    groups, excluded = _group_candidates(request, chosen, endpoints, context)
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
        ranked = order_candidates(
            group.candidates, request.requirements, seed, sort=group.sort, names=names
        )
        limit = _max_steps(request.preferences)
        steps += [
            PlanStep(each.endpoint, _describe_step(each, reason)) for each, reason in ranked[:limit]
        ]
        excluded += [
            _exclude_beyond(each.endpoint, request.preferences) for each, _ in ranked[limit:]
        ]
    return Plan(
        steps=steps,
        excluded=tuple(excluded),
        strategy=_find_strategy(groups[0].sort, request.preferences),
        seed=context.seed,
        notes=tuple(_list_notes(request.preferences, endpoints)),
        choice=chosen.note,
        ocr=context.ocr,
    )


class _ModelChoice(NamedTuple):
    """The models to plan for, with the note and the exclusions of a router."""

    models: Sequence[str]
    note: Json | None = None
    excluded: Sequence[Exclusion] = ()
    free: bool = False  # only free endpoints


def _choose_models(
    request: RoutingRequest, endpoints: Mapping[str, Sequence[Endpoint]], context: RoutingContext
) -> _ModelChoice:
    """Replace a router in the models by its choices."""
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
        assessor=_build_assessor(request, context),
        conditions=[*conditions, FREE] if is_free else conditions,
        sort=request.preferences.sort,
        seed=context.seed,
    )
    choosable = dict(endpoints)
    for name in request.models:
        choosable.pop(name, None)
    picks, note, excluded = router.choose(choosable)
    if not (picks or named or excluded):
        refuse_choice(request.models[position], len(choosable))
    models = [*named[:position], *picks, *named[position:]]
    return _ModelChoice(models, note, excluded, is_free)


def _group_candidates(
    request: RoutingRequest,
    chosen: _ModelChoice,
    endpoints: Mapping[str, Sequence[Endpoint]],
    context: RoutingContext,
) -> tuple[list[_Group], list[Exclusion]]:
    """Return the candidates in groups, each ordered by itself, and the exclusions."""
    assessor = _build_assessor(request, context)
    conditions = filters(request.requirements, request.preferences)
    conditions += [FREE] if chosen.free else []
    groups: list[_Group] = []
    excluded: list[Exclusion] = []
    for rank, name in enumerate(chosen.models):
        served = endpoints.get(name, ())
        variant = _find_variant(name, served)
        applied = [*conditions, FREE] if variant is Variant.FREE else conditions
        passed, failed = apply_filters(served, applied)
        excluded += failed
        if passed:
            sort = (
                SORTS.get(variant, request.preferences.sort)
                if variant
                else request.preferences.sort
            )
            groups.append(_Group(sort, [assessor.build_candidate(each, rank) for each in passed]))
    return _merge_groups(groups) if request.preferences.across_models else groups, excluded


def _build_assessor(request: RoutingRequest, context: RoutingContext) -> Assessor:
    return Assessor(
        request.requirements,
        request.preferences,
        context.snapshot,
        context.affinity,
        probing=context.seed % PROBE_EVERY == 0,
    )


def _find_variant(name: str, served: Sequence[Endpoint]) -> Variant | None:
    """Return the routing suffix of a name, unless it is part of the model's name."""
    if ":" not in name or not served or served[0].model == name:
        return None
    return split_variant(name)[1]


def _merge_groups(groups: list[_Group]) -> list[_Group]:
    """Merge the candidates of all models, to be ordered like those of the first model."""
    return [
        replace(first, candidates=[each for group in groups for each in group.candidates])
        for first in groups[:1]
    ]


def _max_steps(preferences: Preferences) -> int:
    """Return how many endpoints of a group may be tried."""
    return MAX_STEPS if preferences.allow_fallbacks or preferences.order else 1


def _exclude_beyond(endpoint: Endpoint, preferences: Preferences) -> Exclusion:
    code = "beyond_places" if preferences.allow_fallbacks else "no_fallbacks"
    return Exclusion(endpoint.provider, endpoint.model, code)


def _describe_step(candidate: Candidate, reason: str) -> str:
    model = "requested model" if candidate.rank == 0 else f"fallback model {candidate.rank}"
    return f"{model}, {reason}"


def _find_strategy(sort: Sort | None, preferences: Preferences) -> str:
    if preferences.order:
        return "order"
    return "balanced" if sort is None else sort.value


def _list_notes(
    preferences: Preferences, endpoints: Mapping[str, Sequence[Endpoint]]
) -> Iterator[str]:
    """Yield a note for each provider in the preferences that serves none of the models."""
    for field_name, slugs in (
        ("order", preferences.order),
        ("only", preferences.only or ()),
        ("ignore", preferences.ignore),
        ("options", preferences.options),
    ):
        for slug in sorted(slugs):
            if not any(matches(each, slug) for served in endpoints.values() for each in served):
                yield f"provider.{field_name}: {slug} serves none of these models here"
