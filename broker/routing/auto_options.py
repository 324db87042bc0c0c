"""Models that are a router's to choose, and what a caller may wish of the choice.

Names and settings are OpenRouter's (its docs, "Auto router"); the settings of its plugin may also
stand in the body itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from broker.completion import Json
from broker.requests.plugins import AUTO_ROUTER, PARETO_ROUTER
from broker.routing import reading

AUTO, FREE, PARETO = "auto", "free", "pareto-code"
ROUTERS = {
    f"{author}/{name}": name
    for author in ("waybill", "openrouter")
    for name in (AUTO, FREE, PARETO)
}
"""Slug → which router it is."""


def names_free_model(slug: str) -> bool:
    """Tell whether a name asks for what is free: `…:free`, or the router of free models."""
    return slug.endswith(f":{FREE}") or ROUTERS.get(slug) == FREE


PLUGINS = (AUTO_ROUTER, PARETO_ROUTER)
COST_TIERS = ("low", "medium", "high", "xhigh", "max")
MOST_PATTERNS = 1_024
SETTINGS = ("allowed_models", "excluded_models", "cost_tier", "pin_model", "min_coding_score")
IN_BODY = ("allowed_models", "excluded_models", "cost_tier")
GOOD_CODER = 0.66


@dataclass(frozen=True, slots=True)
class AutoWishes:
    """What a router may choose from; `*` in a pattern stands for anything."""

    task: str = "chat"
    allowed: Sequence[str] = ()  # none: every model in the table of fits
    excluded: Sequence[str] = ()
    cost_tier: str = "low"
    least_code: float = GOOD_CODER

    def allows(self, slug: str) -> bool:
        if any(fnmatchcase(slug, pattern) for pattern in self.excluded):
            return False
        return not self.allowed or any(fnmatchcase(slug, pattern) for pattern in self.allowed)


ANY_CHOICE = AutoWishes()


def auto_wishes(body: Json, task: str) -> AutoWishes:
    """Read a body's wishes for a router. Raises InvalidRequestError that names the field."""
    plugin = _plugin(body.get("plugins"))
    where = f"plugins.{plugin['id']}." if plugin else ""
    given = {name: (body[name], name) for name in IN_BODY if body.get(name) is not None}
    given |= {
        name: (plugin[name], where + name) for name in SETTINGS if plugin.get(name) is not None
    }
    wishes: Json = {"task": task}
    for name, (value, field) in given.items():
        wishes |= _read(name, value, field)
    return AutoWishes(**wishes)


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
        return {"cost_tier": reading.word(value, field, COST_TIERS)}
    if name == "min_coding_score":
        return {"least_code": reading.number(value, field, zero=True)}
    if name == "pin_model":
        return {"allowed": [reading.text(value, field)]}
    patterns = reading.texts(value, field)
    if len(patterns) > MOST_PATTERNS:
        reading.refuse(field, f"at most {MOST_PATTERNS} patterns")
    return {"allowed" if name == "allowed_models" else "excluded": patterns}
