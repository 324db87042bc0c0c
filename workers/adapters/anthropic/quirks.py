"""The declared ways in which hosts of the Messages wire differ from Anthropic's own."""

from enum import StrEnum


class Quirk(StrEnum):
    """One deviation from the wire."""

    VERTEX = "vertex"
    """Google's Vertex AI: the model is named in the path and the version in the body, and the key
    is a bearer token. `options`: `project`, `region`."""

    BEARER_TOKEN = "bearer_token"  # noqa: S105  # a way to send a key, not a key
    """Takes the key as a bearer token instead of `x-api-key` (MiniMax, Moonshot, Z.ai)."""

    FORCED_TOOL_SCHEMA = "forced_tool_schema"
    """Knows no `output_config.format`: a JSON schema is had by forcing a tool that takes it."""
