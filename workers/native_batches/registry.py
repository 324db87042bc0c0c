"""The batch APIs, by their names in the rows of vendors."""

from collections.abc import Mapping

from workers.native_batches.anthropic import AnthropicBatches
from workers.native_batches.base import BatchApi
from workers.native_batches.gemini import GeminiBatches
from workers.native_batches.jsonl_files import GroqBatches, MistralBatches, OpenAiBatches

BATCH_APIS: Mapping[str, BatchApi] = {
    api.name: api
    for api in (
        OpenAiBatches(),
        GroqBatches(),
        MistralBatches(),
        AnthropicBatches(),
        GeminiBatches(),
    )
}
