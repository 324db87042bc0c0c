"""The auto router: what a caller may choose of it, and the models it chooses, best first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import inf
from operator import itemgetter
from random import Random
from statistics import median
from typing import Any, TypeAlias

from broker.completion import Json
from broker.providers.endpoints import Endpoint
from broker.requests.plugins import AUTO_ROUTER, PARETO_ROUTER
from broker.routing import fields
from broker.routing.candidates import Assessor, duration, estimate_cost
from broker.routing.filters import Exclusion, Filter, passes, sift
from broker.routing.preferences import Sort

AUTO, FREE, PARETO = "auto", "free", "pareto-code"
ROUTERS = {
    f"{author}/{name}": name
    for author in ("waybill", "openrouter")
    for name in (AUTO, FREE, PARETO)
}
"""Slug → which router it is."""


def names_free_model(slug: str) -> bool:
    """Return whether a name requests a free model: `…:free`, or the router of free models."""
    return slug.endswith(f":{FREE}") or ROUTERS.get(slug) == FREE


PLUGINS = (AUTO_ROUTER, PARETO_ROUTER)
COST_TIERS = ("low", "medium", "high", "xhigh", "max")
MOST_PATTERNS = 1_024
SETTINGS = ("allowed_models", "excluded_models", "cost_tier", "pin_model", "min_coding_score")
IN_BODY = ("allowed_models", "excluded_models", "cost_tier")
GOOD_CODER = 0.66


@dataclass(frozen=True, slots=True)
class AutoOptions:
    """The models that the auto router may choose; `*` in a pattern stands for anything."""

    task: str = "chat"
    allowed: Sequence[str] = ()  # none: every model in the table of fits
    excluded: Sequence[str] = ()
    cost_tier: str = "low"
    least_code: float = GOOD_CODER

    def allows(self, slug: str) -> bool:
        if any(fnmatchcase(slug, pattern) for pattern in self.excluded):
            return False
        return not self.allowed or any(fnmatchcase(slug, pattern) for pattern in self.allowed)


ANY_CHOICE = AutoOptions()


def auto_options(body: Json, task: str) -> AutoOptions:
    """Read a body's options for a router. Raises InvalidRequestError that names the field."""
    plugin = _plugin(body.get("plugins"))
    where = f"plugins.{plugin['id']}." if plugin else ""
    given = {name: (body[name], name) for name in IN_BODY if body.get(name) is not None}
    given |= {
        name: (plugin[name], where + name) for name in SETTINGS if plugin.get(name) is not None
    }
    choice: Json = {"task": task}
    for name, (value, field) in given.items():
        choice |= _read(name, value, field)
    return AutoOptions(**choice)


def _plugin(plugins: Any) -> Json:
    for each in plugins if isinstance(plugins, list) else ():
        if (
            isinstance(each, dict)
            and each.get("id") in PLUGINS
            and each.get("enabled") is not False
        ):
            return each
    return {}


def _read(name: str, value: Any, field: str) -> Json:
    if name == "cost_tier":
        return {"cost_tier": fields.word(value, field, COST_TIERS)}
    if name == "min_coding_score":
        return {"least_code": fields.number(value, field, zero=True)}
    if name == "pin_model":
        return {"allowed": [fields.text(value, field)]}
    patterns = fields.texts(value, field)
    if len(patterns) > MOST_PATTERNS:
        fields.refuse(field, f"at most {MOST_PATTERNS} patterns")
    return {"allowed" if name == "allowed_models" else "excluded": patterns}


MOST_CHOICES = 4  # the pick and its fallbacks
UNRATED = 0.5
UNPRICED = inf
SPEED = (Sort.THROUGHPUT, Sort.LATENCY)

Fits: TypeAlias = Mapping[str, Mapping[str, float]]
"""Model slug → kind of task → how well it does it, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Option:
    """A model that could serve the request: as its best endpoint would."""

    slug: str
    fit: float
    cost: float | None  # nano-dollars
    seconds: float | None
    health: int


@dataclass(frozen=True, slots=True)
class Router:
    """One router at work on one request."""

    kind: str  # auto, free or pareto-code
    choice: AutoOptions
    fits: Fits
    assessor: Assessor
    conditions: Sequence[Filter]
    sort: Sort | None
    seed: int

    def choose(
        self, served: Mapping[str, Sequence[Endpoint]]
    ) -> tuple[list[str], Json, list[Exclusion]]:
        """Return the chosen slugs, best first, the note for the plan, and the exclusions."""
        options, excluded = self._options(served)
        ranked, why = self._rank(options)
        ranked.sort(key=lambda option: option.health)  # stable: what fails now goes last
        picks = [option.slug for option in ranked[:MOST_CHOICES]]
        note = {
            "router": self.kind,
            "task": self.choice.task,
            "considered": len(options),
            "chosen": picks[:1],
            "fallbacks": picks[1:],
            "why": why,
        }
        return picks, note, excluded

    def _options(
        self, served: Mapping[str, Sequence[Endpoint]]
    ) -> tuple[list[Option], list[Exclusion]]:
        """Return the models that can serve the request; where none can, who failed what."""
        choosable = self._choosable(served)
        found = (self._option(slug, served[slug]) for slug in choosable)
        options = [option for option in found if option is not None]
        if options:
            return options, []
        return [], [out for slug in choosable for out in sift(served[slug], self.conditions)[1]]

    def _choosable(self, served: Mapping[str, Sequence[Endpoint]]) -> list[str]:
        """Return the models that may be chosen: rated ones, unless a caller names others."""
        if self.kind == FREE:
            return [slug for slug in served if self.choice.allows(slug)]
        if self.kind == PARETO:
            least = self.choice.least_code
            good = [slug for slug in served if self.fits.get(slug, {}).get("code", 0.0) >= least]
            return [slug for slug in good if self.choice.allows(slug)]
        if not self.choice.allowed:
            rated = [slug for slug in self.fits if slug in served and self.choice.allows(slug)]
            if rated:
                return rated
        return [slug for slug in served if self.choice.allows(slug)]

    def _option(self, slug: str, endpoints: Sequence[Endpoint]) -> Option | None:
        """Judge a model by the cheapest of its endpoints that can serve this and work now.

        Most models' cheapest does, so that few endpoints are looked at closely.
        """
        by_cost = sorted(zip(self._costs(slug, endpoints), endpoints, strict=True), key=_first)
        best = None
        for cost, endpoint in by_cost:
            if not passes(endpoint, self.conditions):
                continue
            health = self.assessor.health(endpoint)
            if best is None or health < best[1]:
                best = cost, health
            if not health:
                break
        if best is None:
            return None
        cost, health = best
        return Option(
            slug,
            self.fits.get(slug, {}).get(self.choice.task, UNRATED),
            None if cost == UNPRICED else cost,
            self._seconds(endpoints) if self.sort in SPEED else None,
            health,
        )

    def _costs(self, slug: str, endpoints: Sequence[Endpoint]) -> list[float]:
        """Return what the request costs at each endpoint; who names no price comes last."""
        requirements, affinity = self.assessor.requirements, self.assessor.affinity.get(slug)
        inputs, outputs = requirements.input_tokens, requirements.likely_output
        if affinity is None:
            costs = [estimate_cost(each.price, inputs, outputs) for each in endpoints]
        else:
            costs = [
                estimate_cost(each.price, inputs, outputs, cached=each.provider == affinity)
                for each in endpoints
            ]
        return [UNPRICED if cost is None else cost for cost in costs]

    def _seconds(self, endpoints: Sequence[Endpoint]) -> float | None:
        """Return how long the fastest endpoint that can serve the request takes."""
        outputs, known = self.assessor.requirements.likely_output, self.assessor.snapshot
        times = (
            duration(known.find(*each.key), outputs)
            for each in endpoints
            if passes(each, self.conditions)
        )
        return min((time for time in times if time is not None), default=None)

    def _rank(self, options: Sequence[Option]) -> tuple[list[Option], str]:
        by_cost = sorted(options, key=_cost)
        if self.kind == FREE:
            shuffled = list(by_cost)
            Random(self.seed).shuffle(shuffled)  # noqa: S311  # it spreads load, repeatably
            return shuffled, "a free model that can serve it, at random"
        if self.kind == PARETO:
            return by_cost, "the cheapest of the good coders"
        if self.sort is Sort.PRICE:
            return by_cost, "the cheapest that can serve it"
        if self.sort in SPEED:
            return _by_speed(options), "the fastest that can serve it"
        why = f"the best at {self.choice.task} among those of {self.choice.cost_tier} cost"
        return _by_fit(by_cost, self.choice.cost_tier), why


_first = itemgetter(0)


def _cost(option: Option) -> tuple[Any, ...]:
    return option.cost is None, option.cost or 0.0, -option.fit


def _by_speed(options: Sequence[Option]) -> list[Option]:
    known = [option.seconds for option in options if option.seconds is not None]
    typical = median(known) if known else 0.0

    def key(option: Option) -> tuple[Any, ...]:
        seconds = typical if option.seconds is None else option.seconds
        return seconds, option.seconds is None, -option.fit, _cost(option)

    return sorted(options, key=key)


def _by_fit(by_cost: Sequence[Option], tier: str) -> list[Option]:
    """Return the band of this cost tier, best fit first, then the bands nearest to it.

    Bands are fifths of the models in order of cost (OpenRouter's percentiles by tier).
    """
    wanted, count = COST_TIERS.index(tier), len(by_cost)
    bands = {
        option.slug: min(place * len(COST_TIERS) // max(count, 1), len(COST_TIERS) - 1)
        for place, option in enumerate(by_cost)
    }
    return sorted(
        by_cost, key=lambda option: (abs(bands[option.slug] - wanted), -option.fit, _cost(option))
    )
