"""The declared ways in which hosts of the Gemini wire differ from Google AI Studio."""

from enum import StrEnum


class Quirk(StrEnum):
    """One deviation from the wire."""

    VERTEX = "vertex"
    """Google's Vertex AI: models are found under a publisher, and `options["project"]` (with
    `region`) makes the key a bearer token; without a project it is an express mode API key."""

    JSON_ARRAY = "json_array"
    """Streams a JSON array instead of server-sent events: `alt=sse` is not asked for."""
