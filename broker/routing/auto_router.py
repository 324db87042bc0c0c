"""The auto router: its options, and the models that it chooses, best first."""

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
from broker.routing.candidates import Assessor, estimate_cost, estimate_duration
from broker.routing.filters import Exclusion, Filter, apply_filters, passes
from broker.routing.preferences import Sort

AUTO, FREE, PARETO = "auto", "free", "pareto-code"
ROUTERS = {
    f"{author}/{name}": name
    for author in ("waybill", "openrouter")
    for name in (AUTO, FREE, PARETO)
}
"""Slug → kind of router."""


def names_free_model(slug: str) -> bool:
    """Return whether a name requests a free model: `…:free`, or the router of free models."""
    return slug.endswith(f":{FREE}") or ROUTERS.get(slug) == FREE


PLUGINS = (AUTO_ROUTER, PARETO_ROUTER)
COST_TIERS = ("low", "medium", "high", "xhigh", "max")
MAX_PATTERNS = 1_024
SETTINGS = ("allowed_models", "excluded_models", "cost_tier", "pin_model", "min_coding_score")
BODY_SETTINGS = ("allowed_models", "excluded_models", "cost_tier")
GOOD_CODER = 0.66


@dataclass(frozen=True, slots=True)
class AutoOptions:
    """The models that the auto router may choose; `*` in a pattern matches anything."""

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


def read_auto_options(body: Json, task: str) -> AutoOptions:
    """Read a body's options for a router. Raises InvalidRequestError that names the field."""
    plugin = _find_plugin(body.get("plugins"))
    prefix = f"plugins.{plugin['id']}." if plugin else ""
    settings = {name: (body[name], name) for name in BODY_SETTINGS if body.get(name) is not None}
    settings |= {
        name: (plugin[name], prefix + name) for name in SETTINGS if plugin.get(name) is not None
    }
    choice: Json = {"task": task}
    for name, (value, field) in settings.items():
        choice |= _read_setting(name, value, field)
    return AutoOptions(**choice)


def _find_plugin(plugins: Any) -> Json:
    for each in plugins if isinstance(plugins, list) else ():
        if (
            isinstance(each, dict)
            and each.get("id") in PLUGINS
            and each.get("enabled") is not False
        ):
            return each
    return {}


def _read_setting(name: str, value: Any, field: str) -> Json:
    if name == "cost_tier":
        return {"cost_tier": fields.read_word(value, field, COST_TIERS)}
    if name == "min_coding_score":
        return {"least_code": fields.read_number(value, field, zero=True)}
    if name == "pin_model":
        return {"allowed": [fields.read_text(value, field)]}
    patterns = fields.read_texts(value, field)
    if len(patterns) > MAX_PATTERNS:
        fields.refuse(field, f"at most {MAX_PATTERNS} patterns")
    return {"allowed" if name == "allowed_models" else "excluded": patterns}


MAX_CHOICES = 4  # the pick and its fallbacks
UNRATED = 0.5
UNPRICED = inf
SPEED = (Sort.THROUGHPUT, Sort.LATENCY)

Fits: TypeAlias = Mapping[str, Mapping[str, float]]
"""Model slug → kind of task → fit, 0 to 1."""


@dataclass(frozen=True, slots=True)
class ModelOption:
    """A model that can serve the request, with the values of its best endpoint."""

    slug: str
    fit: float
    cost: float | None  # nano-dollars
    seconds: float | None
    health: int


@dataclass(frozen=True, slots=True)
class Router:
    """A router with all it needs for one request."""

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
        options, excluded = self._list_options(served)
        ranked, reason = self._rank(options)
        ranked.sort(key=lambda option: option.health)  # stable: failing models last
        picks = [option.slug for option in ranked[:MAX_CHOICES]]
        note = {
            "router": self.kind,
            "task": self.choice.task,
            "considered": len(options),
            "chosen": picks[:1],
            "fallbacks": picks[1:],
            "why": reason,
        }
        return picks, note, excluded

    def _list_options(
        self, served: Mapping[str, Sequence[Endpoint]]
    ) -> tuple[list[ModelOption], list[Exclusion]]:
        """Return the models that can serve the request; without any, the exclusions."""
        choosable = self._list_choosable(served)
        found = (self._build_option(slug, served[slug]) for slug in choosable)
        options = [option for option in found if option is not None]
        if options:
            return options, []
        return [], [
            out for slug in choosable for out in apply_filters(served[slug], self.conditions)[1]
        ]

    def _list_choosable(self, served: Mapping[str, Sequence[Endpoint]]) -> list[str]:
        """Return the models that may be chosen: rated ones, unless the caller names models."""
        if self.kind == FREE:
            return [slug for slug in served if self.choice.allows(slug)]
        if self.kind == PARETO:
            min_code = self.choice.least_code
            good = [slug for slug in served if self.fits.get(slug, {}).get("code", 0.0) >= min_code]
            return [slug for slug in good if self.choice.allows(slug)]
        if not self.choice.allowed:
            rated = [slug for slug in self.fits if slug in served and self.choice.allows(slug)]
            if rated:
                return rated
        return [slug for slug in served if self.choice.allows(slug)]

    def _build_option(self, slug: str, endpoints: Sequence[Endpoint]) -> ModelOption | None:
        """Return the option of a model by its cheapest healthy endpoint that can serve the request.

        Usually this is the first one, so few endpoints are checked.
        """
        by_cost = sorted(
            zip(self._estimate_costs(slug, endpoints), endpoints, strict=True), key=_get_cost
        )
        best = None
        for cost, endpoint in by_cost:
            if not passes(endpoint, self.conditions):
                continue
            health = self.assessor.find_health(endpoint)
            if best is None or health < best[1]:
                best = cost, health
            if not health:
                break
        if best is None:
            return None
        cost, health = best
        return ModelOption(
            slug,
            self.fits.get(slug, {}).get(self.choice.task, UNRATED),
            None if cost == UNPRICED else cost,
            self._find_fastest(endpoints) if self.sort in SPEED else None,
            health,
        )

    def _estimate_costs(self, slug: str, endpoints: Sequence[Endpoint]) -> list[float]:
        """Return the cost of the request at each endpoint; UNPRICED without a known price."""
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

    def _find_fastest(self, endpoints: Sequence[Endpoint]) -> float | None:
        """Return the seconds of the fastest endpoint that can serve the request."""
        outputs, known = self.assessor.requirements.likely_output, self.assessor.snapshot
        times = (
            estimate_duration(known.find(*each.key), outputs)
            for each in endpoints
            if passes(each, self.conditions)
        )
        return min((time for time in times if time is not None), default=None)

    def _rank(self, options: Sequence[ModelOption]) -> tuple[list[ModelOption], str]:
        by_cost = sorted(options, key=_cost_key)
        if self.kind == FREE:
            shuffled = list(by_cost)
            Random(self.seed).shuffle(shuffled)  # noqa: S311  # it spreads load, repeatably
            return shuffled, "a free model that can serve it, at random"
        if self.kind == PARETO:
            return by_cost, "the cheapest of the good coders"
        if self.sort is Sort.PRICE:
            return by_cost, "the cheapest that can serve it"
        if self.sort in SPEED:
            return _sort_by_speed(options), "the fastest that can serve it"
        reason = f"the best at {self.choice.task} among those of {self.choice.cost_tier} cost"
        return _sort_by_fit(by_cost, self.choice.cost_tier), reason


_get_cost = itemgetter(0)


def _cost_key(option: ModelOption) -> tuple[Any, ...]:
    return option.cost is None, option.cost or 0.0, -option.fit


def _sort_by_speed(options: Sequence[ModelOption]) -> list[ModelOption]:
    known = [option.seconds for option in options if option.seconds is not None]
    typical = median(known) if known else 0.0

    def key(option: ModelOption) -> tuple[Any, ...]:
        seconds = typical if option.seconds is None else option.seconds
        return seconds, option.seconds is None, -option.fit, _cost_key(option)

    return sorted(options, key=key)


def _sort_by_fit(by_cost: Sequence[ModelOption], tier: str) -> list[ModelOption]:
    """Return the band of this cost tier, best fit first, then the bands nearest to it.

    Bands are fifths of the models in order of cost (OpenRouter's percentiles by tier).
    """
    requested_band, count = COST_TIERS.index(tier), len(by_cost)
    bands = {
        option.slug: min(position * len(COST_TIERS) // max(count, 1), len(COST_TIERS) - 1)
        for position, option in enumerate(by_cost)
    }
    return sorted(
        by_cost,
        key=lambda option: (
            abs(bands[option.slug] - requested_band),
            -option.fit,
            _cost_key(option),
        ),
    )
