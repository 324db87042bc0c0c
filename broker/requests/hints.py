"""OpenAI's hints: fields of a chat body that few other vendors take. Pure.

Strict vendors refuse a request that has one. Groq answers 400 ("property 'prompt_cache_key' is
unsupported"), Cerebras 422. An answer does not depend on them, so they are left out where the
vendor is not known to take them.
"""

from collections.abc import Collection, Sequence

from broker.completion import Json
from broker.requests.operations import Interface

HINTS = frozenset({"prompt_cache_key", "prompt_cache_retention", "safety_identifier", "verbosity"})
NO_HINTS: frozenset[str] = frozenset()

QUIRKS = frozenset({"openai_hints", "openrouter_fields"})
"""Quirks of vendors of OpenAI's wire that take all hints."""

_BY_WIRE = {"responses": HINTS, "mistral": frozenset({"prompt_cache_key"})}


def find_taken(wire: str, quirks: Collection[str], interface: Interface) -> frozenset[str]:
    """Return the hints that an endpoint takes."""
    if interface is Interface.RESPONSES or not QUIRKS.isdisjoint(quirks):
        return HINTS
    return _BY_WIRE.get(wire, NO_HINTS)


def find_unread_hints(body: Json, taken: frozenset[str]) -> Sequence[str]:
    """Return the hints of a body that its endpoint does not take."""
    return [name for name in sorted(HINTS - taken) if body.get(name) is not None]
