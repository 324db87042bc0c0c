"""Which endpoints may serve a request, in which order, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from broker.completion import Json
from broker.providers.endpoint_stats import NO_SNAPSHOT, Snapshot
from broker.providers.endpoints import Endpoint
from broker.routing.auto_router import ANY_CHOICE, ROUTERS, AutoOptions, Fits, Router
from broker.routing.auto_router import FREE as FREE_ROUTER
from broker.routing.candidates import PROBE_EVERY, Assessor, Candidate
from broker.routing.filters import FREE, Exclusion, filters, named, refuse, refuse_choice, sift
from broker.routing.ordering import Seed, ordered
from broker.routing.plans import Plan, PlannedEndpoint
from broker.routing.preferences import (
    NO_PREFERENCES,
    SORTS,
    Preferences,
    Sort,
    Variant,
    split_variant,
)
from broker.routing.requirements import NO_REQUIREMENTS, Requirements

MOST_PLACES = 12
"""How many endpoints of one model a plan holds: more than a job has attempts."""


@dataclass(frozen=True, slots=True)
class RoutingRequest:
    """What is asked for: models, first choice first, what the request needs, what is preferred."""

    models: Sequence[str]
    needs: Requirements = NO_REQUIREMENTS
    preferences: Preferences = NO_PREFERENCES
    choice: AutoOptions = ANY_CHOICE  # where a router is asked to choose the model


@dataclass(frozen=True, slots=True)
class RoutingContext:
    """What a plan depends on besides what was asked."""

    snapshot: Snapshot = NO_SNAPSHOT
    warm: Mapping[str, str] = field(default_factory=dict)  # model slug → provider that remembers
    seed: int = 0
    fits: Fits = field(default_factory=dict)  # how well models do tasks


ORDINARY = RoutingContext()


@dataclass(frozen=True, slots=True)
class _Group:
    """Candidates that are ordered together."""

    sort: Sort | None
    candidates: list[Candidate]


def plan(
    ask: RoutingRequest,
    endpoints: Mapping[str, Sequence[Endpoint]],
    circumstances: RoutingContext = ORDINARY,
) -> Plan:
    """Return the endpoints that may serve `ask`, in the order to try them.

    `endpoints` holds what each name in `ask.models` can be served by, and where one of them is a
    router (`waybill/auto`) what it may choose from; a fallback model that nobody serves is passed
    over. The same arguments give the same plan. Raises NoEndpointError that says what left nothing.
    """
    chosen = _chosen(ask, endpoints, circumstances)
    groups, excluded = _groups(ask, chosen, endpoints, circumstances)
    excluded += chosen.excluded
    if not groups:
        refuse(ask.models, ask.needs, filters(ask.needs, ask.preferences), excluded)
    places: list[PlannedEndpoint] = []
    dice = Seed(circumstances.seed)
    for group in groups:
        names = ask.preferences.order
        placed = ordered(group.candidates, ask.needs, dice, sort=group.sort, names=names)
        kept = _room(ask.preferences)
        places += [
            PlannedEndpoint(each.endpoint, _reason(each, why)) for each, why in placed[:kept]
        ]
        excluded += [_beyond(each.endpoint, ask.preferences) for each, _ in placed[kept:]]
    return Plan(
        places=places,
        excluded=tuple(excluded),
        strategy=_strategy(groups[0].sort, ask.preferences),
        seed=circumstances.seed,
        notes=tuple(_notes(ask.preferences, endpoints)),
        choice=chosen.told,
    )


class _Chosen(NamedTuple):
    """The models to plan for, and what a router has to say of its part in them."""

    models: Sequence[str]
    told: Json | None = None
    excluded: Sequence[Exclusion] = ()
    free: bool = False  # nothing may cost


def _chosen(
    ask: RoutingRequest, endpoints: Mapping[str, Sequence[Endpoint]], circumstances: RoutingContext
) -> _Chosen:
    """Put a router's choices in its place."""
    place = next((n for n, name in enumerate(ask.models) if name in ROUTERS), None)
    if place is None:
        return _Chosen(ask.models)
    named = [name for name in ask.models if name not in ROUTERS]
    kind = ROUTERS[ask.models[place]]
    conditions = filters(ask.needs, ask.preferences)
    is_free = kind == FREE_ROUTER
    router = Router(
        kind=kind,
        wishes=ask.choice,
        fits=circumstances.fits,
        assessor=_assessor(ask, circumstances),
        conditions=[*conditions, FREE] if is_free else conditions,
        sort=ask.preferences.sort,
        seed=circumstances.seed,
    )
    others = dict(endpoints)
    for name in ask.models:
        others.pop(name, None)
    picks, told, excluded = router.choose(others)
    if not (picks or named or excluded):
        refuse_choice(ask.models[place], len(others))
    models = [*named[:place], *picks, *named[place:]]
    return _Chosen(models, told, excluded, is_free)


def _groups(
    ask: RoutingRequest,
    chosen: _Chosen,
    endpoints: Mapping[str, Sequence[Endpoint]],
    circumstances: RoutingContext,
) -> tuple[list[_Group], list[Exclusion]]:
    """Return who may serve, in groups that are ordered one after the other, and who may not."""
    assessor = _assessor(ask, circumstances)
    conditions = filters(ask.needs, ask.preferences)
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
            sort = SORTS.get(variant, ask.preferences.sort) if variant else ask.preferences.sort
            groups.append(_Group(sort, [assessor.candidate(each, rank) for each in kept]))
    return _joined(groups) if ask.preferences.across_models else groups, excluded


def _assessor(ask: RoutingRequest, circumstances: RoutingContext) -> Assessor:
    return Assessor(
        ask.needs,
        ask.preferences,
        circumstances.snapshot,
        circumstances.warm,
        probing=circumstances.seed % PROBE_EVERY == 0,
    )


def _variant(name: str, served: Sequence[Endpoint]) -> Variant | None:
    """Return how a name's suffix says to route it, if it is not part of the model's own name."""
    if ":" not in name or not served or served[0].model == name:
        return None
    return split_variant(name)[1]


def _joined(groups: list[_Group]) -> list[_Group]:
    """Put all models' candidates together, to be ordered as the first model's are."""
    return [
        replace(first, candidates=[each for group in groups for each in group.candidates])
        for first in groups[:1]
    ]


def _room(wishes: Preferences) -> int:
    """Return how many endpoints of a group may be tried."""
    return MOST_PLACES if wishes.allow_fallbacks or wishes.order else 1


def _beyond(endpoint: Endpoint, wishes: Preferences) -> Exclusion:
    code = "beyond_places" if wishes.allow_fallbacks else "no_fallbacks"
    return Exclusion(endpoint.provider, endpoint.model, code)


def _reason(candidate: Candidate, why: str) -> str:
    model = "requested model" if candidate.rank == 0 else f"fallback model {candidate.rank}"
    return f"{model}, {why}"


def _strategy(sort: Sort | None, wishes: Preferences) -> str:
    if wishes.order:
        return "order"
    return "balanced" if sort is None else sort.value


def _notes(wishes: Preferences, endpoints: Mapping[str, Sequence[Endpoint]]) -> Iterator[str]:
    """Say which names in the preferences meant nobody: a misspelt one would go unnoticed."""
    for field_name, slugs in (
        ("order", wishes.order),
        ("only", wishes.only or ()),
        ("ignore", wishes.ignore),
        ("options", wishes.options),
    ):
        for slug in sorted(slugs):
            if not any(named(each, slug) for served in endpoints.values() for each in served):
                yield f"provider.{field_name}: {slug} serves none of these models here"
