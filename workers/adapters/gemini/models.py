"""Capabilities of Gemini models, by the version in the name, and quirks of their hosts."""

import re
from dataclasses import dataclass
from enum import StrEnum


class GeminiQuirk(StrEnum):
    """One deviation from the wire."""

    VERTEX = "vertex"
    """Google's Vertex AI: models are under a publisher, and `options["project"]` (with
    `region`) makes the key a bearer token; without a project it is an express mode API key."""

    JSON_ARRAY = "json_array"
    """Streams a JSON array instead of server-sent events, without `alt=sse`."""


_VERSION = re.compile(r"gemini-(?:[a-z]+-)*?(\d{1,2})(?:\.(\d{1,2}))?(?!\d)")
_NEWEST = (3, 0)
_UNVERSIONED = (2, 5)


@dataclass(frozen=True, slots=True)
class GeminiModel:
    """Capabilities of a model. Other models than Gemini (Gemma, LearnLM) have the version 0."""

    name: str
    version: tuple[int, int]

    @classmethod
    def from_name(cls, name: str) -> "GeminiModel":
        if found := _VERSION.search(name):
            return cls(name, (int(found[1]), int(found[2] or 0)))
        if "gemini" not in name:
            return cls(name, (0, 0))
        return cls(name, _NEWEST if name.endswith("-latest") else _UNVERSIONED)

    @property
    def bills_queries(self) -> bool:
        """Return whether every search query is billed. Otherwise a grounded prompt is billed once.

        Source: ai.google.dev/gemini-api/docs/pricing, "Grounding with Google Search".
        """
        return self.version >= (3, 0)

    @property
    def takes_level(self) -> bool:
        """Return whether thinking is set by a level."""
        return self.version >= (3, 0)

    @property
    def takes_budget(self) -> bool:
        """Return whether thinking is set by a budget of tokens."""
        special = "image" in self.name or "tts" in self.name
        return self.version >= (2, 5) and (self.takes_level or not special)

    @property
    def takes_json_schema(self) -> bool:
        """Return whether it accepts JSON Schema, not only OpenAPI's."""
        return self.version >= (2, 5)

    @property
    def takes_schema_with_tools(self) -> bool:
        return self.version >= (3, 0)

    @property
    def takes_penalties(self) -> bool:
        """Return whether it accepts presence and frequency penalties."""
        return self.version < (2, 5)

    @property
    def checks_signatures(self) -> bool:
        """Return whether a function call must be sent back with its thought signature."""
        return self.version >= (3, 0)

    @property
    def budgets(self) -> tuple[int, int]:
        """Return the least thinking budget (0: thinking can be off) and the greatest, in tokens."""
        if "pro" in self.name:
            return 128, 32_768
        return (512 if "lite" in self.name else 0), 24_576
