"""The operations Waybill serves besides chat, by operation and wire."""

from collections.abc import Mapping

from broker.operations import Operation
from workers.operations.audio import OpenAiSpeech, OpenAiTranscriptions
from workers.operations.base import OperationAdapter
from workers.operations.embeddings import CohereEmbeddings, GeminiEmbeddings, OpenAiEmbeddings
from workers.operations.images import GeminiImages, OpenAiImages
from workers.operations.rerank import CohereRerank, OpenAiRerank
from workers.operations.texts import OpenAiCompletions

OPERATIONS: Mapping[tuple[Operation, str], OperationAdapter] = {
    (adapter.operation, wire): adapter
    for adapter in (
        OpenAiEmbeddings(),
        GeminiEmbeddings(),
        CohereEmbeddings(),
        OpenAiRerank(),
        CohereRerank(),
        OpenAiCompletions(),
        OpenAiImages(),
        GeminiImages(),
        OpenAiTranscriptions(),
        OpenAiSpeech(),
    )
    for wire in adapter.wires
}  # fmt: skip
