"""Which wire answers at which path."""

import re
from typing import Final
from urllib.parse import parse_qs

from workers.simulator.anthropic_wire import AnthropicMessages
from workers.simulator.embeddings import Embeddings
from workers.simulator.gemini_wire import Gemini, GeminiArray, GeminiEvents
from workers.simulator.http import Exchange
from workers.simulator.media_operations import Images
from workers.simulator.openai_wire import OpenAIChat
from workers.simulator.rerank import CohereRerank, Rerank
from workers.simulator.speech import Speech
from workers.simulator.text_operations import Completions
from workers.simulator.transcriptions import Transcriptions
from workers.simulator.wire import Wire

ENDPOINTS: Final[dict[str, Wire]] = {
    "/chat/completions": OpenAIChat(),
    "/completions": Completions(),
    "/embeddings": Embeddings(),
    "/images/generations": Images(),
    "/rerank": Rerank(),
    "/audio/transcriptions": Transcriptions(),
    "/audio/speech": Speech(),
    "/messages": AnthropicMessages(),
}
WIRES: Final[dict[str, Wire]] = {  # the version may be left out
    **ENDPOINTS,
    **{f"/v1{path}": wire for path, wire in ENDPOINTS.items()},
    "/v2/rerank": CohereRerank(),
}
AZURE: Final = re.compile(r"/openai/(?:v1|deployments/[^/]+)(?P<path>/.+)")
GEMINI: Final = re.compile(
    r"(?:/v1(?:alpha|beta1?)?)?"
    r"(?P<vertex>(?:/projects/[^/]+/locations/[^/]+)?/publishers/google)?"
    r"/models/[^/:]+:(?P<method>generateContent|streamGenerateContent)"
)


def wire_at(exchange: Exchange) -> Wire | None:
    """Return what answers a POST to a path, if anything does."""
    if wire := WIRES.get(exchange.path):
        return wire
    if azure := AZURE.fullmatch(exchange.path):
        return ENDPOINTS.get(azure["path"])
    match = GEMINI.fullmatch(exchange.path)
    if not match:
        return None
    vertex = match["vertex"] is not None
    if match["method"] == "generateContent":
        return Gemini(vertex)
    query = parse_qs(exchange.scope["query_string"].decode())
    return GeminiEvents(vertex) if query.get("alt") == ["sse"] else GeminiArray(vertex)
