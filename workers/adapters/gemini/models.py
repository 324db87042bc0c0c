"""Capabilities of Gemini models, by the version in the name; and the quirks of their hosts."""

import re
from dataclasses import dataclass
from enum import StrEnum


class Quirk(StrEnum):
    """One deviation from the wire."""

    VERTEX = "vertex"
    """Google's Vertex AI: models are found under a publisher, and `options["project"]` (with
    `region`) makes the key a bearer token; without a project it is an express mode API key."""

    JSON_ARRAY = "json_array"
    """Streams a JSON array instead of server-sent events: `alt=sse` is not asked for."""


_VERSION = re.compile(r"gemini-(?:[a-z]+-)*?(\d{1,2})(?:\.(\d{1,2}))?(?!\d)")
_NEWEST = (3, 0)
_UNVERSIONED = (2, 5)


@dataclass(frozen=True, slots=True)
class Model:
    """A model's abilities. A name that is not Gemini's (Gemma, LearnLM) has the least of them."""

    name: str
    version: tuple[int, int]

    @classmethod
    def named(cls, name: str) -> "Model":
        if found := _VERSION.search(name):
            return cls(name, (int(found[1]), int(found[2] or 0)))
        if "gemini" not in name:
            return cls(name, (0, 0))
        return cls(name, _NEWEST if name.endswith("-latest") else _UNVERSIONED)

    @property
    def bills_queries(self) -> bool:
        """Whether every query of a search is billed; otherwise the prompt that was grounded is.

        Source: ai.google.dev/gemini-api/docs/pricing, "Grounding with Google Search".
        """
        return self.version >= (3, 0)

    @property
    def takes_level(self) -> bool:
        """Whether thinking is asked for by level."""
        return self.version >= (3, 0)

    @property
    def takes_budget(self) -> bool:
        """Whether thinking is asked for by a budget of tokens."""
        special = "image" in self.name or "tts" in self.name
        return self.version >= (2, 5) and (self.takes_level or not special)

    @property
    def takes_json_schema(self) -> bool:
        """Whether it understands JSON Schema beside OpenAPI's."""
        return self.version >= (2, 5)

    @property
    def takes_schema_with_tools(self) -> bool:
        return self.version >= (3, 0)

    @property
    def takes_penalties(self) -> bool:
        """Whether presence and frequency penalties do not get it to refuse the request."""
        return self.version < (2, 5)

    @property
    def checks_signatures(self) -> bool:
        """Whether a function call must come back with its thought signature."""
        return self.version >= (3, 0)

    @property
    def budgets(self) -> tuple[int, int]:
        """The least budget (0: thinking can be off) and the greatest."""
        if "pro" in self.name:
            return 128, 32_768
        return (512 if "lite" in self.name else 0), 24_576
