"""Capabilities of Claude models, by the version in the name, and quirks of their hosts."""

import re
from dataclasses import dataclass
from enum import StrEnum


class AnthropicQuirk(StrEnum):
    """One deviation from the wire."""

    VERTEX = "vertex"
    """Google's Vertex AI: the model is named in the path and the version in the body, and the key
    is a bearer token. It uses the options `project` and `region`."""

    BEARER_TOKEN = "bearer_token"  # noqa: S105  # a way to send a key, not a key
    """Takes the key as a bearer token instead of `x-api-key` (MiniMax, Moonshot, Z.ai)."""

    FORCED_TOOL_SCHEMA = "forced_tool_schema"
    """Has no `output_config.format`. A forced tool with the schema replaces it."""


_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_ANY = (0, 0)


@dataclass(frozen=True, slots=True)
class ClaudeModel:
    """Capabilities of a model. `version` is None for another vendor's model on this wire."""

    version: tuple[int, int] | None

    @classmethod
    def from_name(cls, name: str) -> "ClaudeModel":
        found = _VERSION.search(name)
        return cls((int(found[1]), int(found[2] or 0)) if found else None)

    @property
    def thinks(self) -> bool:
        return self.version is None or self.version >= (3, 7)

    @property
    def adapts(self) -> bool:
        """Return whether thinking is adaptive, guided by an effort."""
        return self._since(4, 6)

    @property
    def takes_budget(self) -> bool:
        return self.thinks and not self._since(4, 7)

    @property
    def takes_sampling(self) -> bool:
        """Return whether it accepts temperature, top_p and top_k."""
        return not self._since(4, 7)

    @property
    def takes_one_sampler(self) -> bool:
        """Return whether temperature and top_p exclude each other."""
        return self._since(4, 1)

    @property
    def takes_schema(self) -> bool:
        """Return whether it has structured outputs and strict tools."""
        return self._since(4, 1)

    @property
    def default_max_tokens(self) -> int:
        """Return the output limit for requests without one, because the wire requires it."""
        if self._since(3, 7):
            return 32_000
        return 4096 if (self.version or (3, 5)) < (3, 5) else 8192

    def _since(self, major: int, minor: int) -> bool:
        return (self.version or _ANY) >= (major, minor)
