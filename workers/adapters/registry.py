"""The adapters by the name of their wire. Add a new one with an import and a line here."""

from collections.abc import Mapping

from workers.adapters.anthropic import AnthropicAdapter
from workers.adapters.base import Adapter
from workers.adapters.bedrock import BedrockAdapter
from workers.adapters.cohere import CohereAdapter
from workers.adapters.gemini import GeminiAdapter
from workers.adapters.mistral import MistralAdapter
from workers.adapters.openai import OpenAiAdapter
from workers.adapters.openai.adapter import AzureAdapter
from workers.adapters.picture_wires import BlackForestLabsWire, FalWire, StabilityWire
from workers.adapters.responses import AzureResponsesAdapter, ResponsesAdapter

ADAPTERS: Mapping[str, Adapter] = {
    adapter.wire: adapter
    for adapter in (
        OpenAiAdapter(),
        AnthropicAdapter(),
        GeminiAdapter(),
        CohereAdapter(),
        BedrockAdapter(),
        MistralAdapter(),
        AzureAdapter(),
        ResponsesAdapter(),
    )
}  # fmt: skip

WITHOUT_CHATS: Mapping[str, Adapter] = {
    adapter.wire: adapter for adapter in (BlackForestLabsWire(), FalWire(), StabilityWire())
}
"""The adapters of wires that have other operations only."""


def find_adapter(wire: str) -> Adapter | None:
    """Return the adapter of a wire, or None for an unknown one."""
    return ADAPTERS.get(wire) or WITHOUT_CHATS.get(wire)


RESPONSES: Mapping[str, Adapter] = {
    "openai": ResponsesAdapter(),
    "azure": AzureResponsesAdapter(),
}
"""The adapters of models that a provider serves by the Responses API only, by its wire.

`broker.requests.operations.EXTRA_INTERFACES` states the same for the catalog.
"""
