"""Suffixes of model slugs: `author/name:nitro`. Meaning: OpenRouter's docs, "Model variants".

A slug that is in the catalog as it is written (`author/name:thinking`, an Ollama tag) has none.
"""

from enum import StrEnum

from broker.requests.plugins import NO_WEB
from broker.routing.preferences import Sort


class Variant(StrEnum):
    """A suffix that says how to route, rather than what to run."""

    NITRO = "nitro"  # sorted by throughput
    FLOOR = "floor"  # sorted by price
    EXACTO = "exacto"  # quality first
    FREE = "free"  # only what costs nothing


SORTS = {
    Variant.NITRO: Sort.THROUGHPUT,
    Variant.FLOOR: Sort.PRICE,
    Variant.EXACTO: Sort.EXACTO,
}

MODELS_OF_THEIR_OWN = {
    "online": NO_WEB,
    "thinking": "no model of that name is: leave the suffix out, and ask for `reasoning`",
    "extended": "no model of that name is: leave the suffix out, or choose a longer context",
}
"""Suffixes that mean another model, which must be in the catalog under that name."""


def split(slug: str) -> tuple[str, Variant | None]:
    """Return a slug without its suffix, and the suffix where it is one that routes."""
    base, _, suffix = slug.rpartition(":")
    return (base, Variant(suffix)) if base and suffix in _SUFFIXES else (slug, None)


def missing(slug: str) -> str | None:
    """Return what to do instead where a suffix means a model that the catalog does not have."""
    return MODELS_OF_THEIR_OWN.get(slug.rpartition(":")[2]) if ":" in slug else None


_SUFFIXES = frozenset(Variant)
