"""The adapters of the operations other than chat, by operation and wire."""

from collections.abc import Mapping

from broker.requests.operations import Operation
from workers.adapters.openai.quirks import OpenAiQuirk
from workers.operations.audio import OpenAiSpeech, OpenAiTranscriptions
from workers.operations.base import OperationAdapter
from workers.operations.embeddings import (
    CohereEmbeddings,
    GeminiEmbeddings,
    Int8Embeddings,
    OpenAiEmbeddings,
)
from workers.operations.gemini_images import GeminiImageEdits, GeminiImages, GeminiImageVariations
from workers.operations.images import OpenAiImageEdits, OpenAiImages, OpenAiImageVariations
from workers.operations.moderations import OpenAiModerations
from workers.operations.picture_jobs import (
    BlackForestLabsEdits,
    BlackForestLabsImages,
    FalEdits,
    FalImages,
)
from workers.operations.rerank import CohereRerank, OpenAiRerank
from workers.operations.stability_images import StabilityEdits, StabilityImages
from workers.operations.text_completions import OpenAiCompletions
from workers.operations.vendor_images import (
    JsonImageEdits,
    JsonImages,
    SizedImageEdits,
    SizedImages,
)

OPERATIONS: Mapping[tuple[Operation, str], OperationAdapter] = {
    (adapter.operation, wire): adapter
    for adapter in (
        OpenAiEmbeddings(),
        GeminiEmbeddings(),
        CohereEmbeddings(),
        OpenAiRerank(),
        CohereRerank(),
        OpenAiModerations(),
        OpenAiCompletions(),
        OpenAiImages(),
        OpenAiImageEdits(),
        OpenAiImageVariations(),
        GeminiImages(),
        GeminiImageEdits(),
        GeminiImageVariations(),
        BlackForestLabsImages(),
        BlackForestLabsEdits(),
        FalImages(),
        FalEdits(),
        StabilityImages(),
        StabilityEdits(),
        OpenAiTranscriptions(),
        OpenAiSpeech(),
    )
    for wire in adapter.wires
}  # fmt: skip

VARIANTS: Mapping[tuple[Operation, str], OperationAdapter] = {
    (Operation.EMBEDDINGS, OpenAiQuirk.INT8_EMBEDDINGS): Int8Embeddings(),
    (Operation.IMAGES, OpenAiQuirk.JSON_IMAGE_EDITS): JsonImages(),
    (Operation.IMAGE_EDITS, OpenAiQuirk.JSON_IMAGE_EDITS): JsonImageEdits(),
    (Operation.IMAGES, OpenAiQuirk.IMAGE_DIMENSIONS): SizedImages(),
    (Operation.IMAGE_EDITS, OpenAiQuirk.IMAGE_DIMENSIONS): SizedImageEdits(),
}
"""Adapters of an operation for vendors with a quirk."""


def operation_adapter(
    operation: Operation, wire: str, quirks: frozenset[str]
) -> OperationAdapter | None:
    """Return the adapter of an operation, or None where the wire does not have it."""
    if (operation, wire) not in OPERATIONS:
        return None
    variants = (VARIANTS.get((operation, quirk)) for quirk in quirks)
    return next((each for each in variants if each), OPERATIONS[operation, wire])
