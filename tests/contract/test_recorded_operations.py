"""Every operation besides chat against the recorded answers."""

import base64
import json
import struct
from typing import Any

import pytest

from broker.completion import CompletionRequest
from broker.providers.vendors import vendors
from broker.requests.operations import EXTRA_INTERFACES, SERVED, Interface, Operation
from tests.contract.exchanges import Exchange, all_exchanges, parametrize
from tests.contract.oracles.failures import suiting
from workers.adapters.base import Upstream
from workers.adapters.registry import ADAPTERS, RESPONSES
from workers.operations.registry import OPERATIONS, operation_adapter

COVERED = {
    ("embeddings", "openai-emb"): (Operation.EMBEDDINGS, "openai"),
    ("embeddings", "gemini"): (Operation.EMBEDDINGS, "gemini"),
    ("embeddings", "cohere"): (Operation.EMBEDDINGS, "cohere"),
    ("images", "openai-img"): (Operation.IMAGES, "openai"),
    ("completions", "openai-completions"): (Operation.COMPLETIONS, "openai"),
    ("rerank", "rerank"): (Operation.RERANK, "cohere"),
}


def recordings(operation: str) -> list[Any]:
    return parametrize(
        exchange
        for exchange in all_exchanges()
        if exchange["operation"] == operation
        and (operation, exchange["api"]) in COVERED
        and "stream" not in exchange["tags"]
    )


def answer(exchange: Exchange) -> Any:
    vendor = vendors().get(exchange["id"].partition("-")[0])
    operation, wire = COVERED[exchange["operation"], exchange["api"]]
    adapter = operation_adapter(operation, wire, frozenset(vendor.quirks if vendor else ()))
    assert adapter
    status, body = exchange["response"]["status"], exchange["response"]["body"].encode()
    if status >= 300:
        failure = adapter.read_error(status, exchange["response"]["headers"], body)
        assert failure.error_type in suiting(status, body.decode())
        assert failure.message
        return None
    asked = exchange["request"]["body"]
    request = CompletionRequest(body={} if "b64" in asked else asked, model=exchange["model"] or "")
    return adapter.read_response(body, request)


@pytest.mark.parametrize("exchange", recordings("embeddings"))
def test_recorded_vectors_are_the_providers_own(exchange: Exchange) -> None:
    document = answer(exchange)
    if document is None:
        return
    said = json.loads(exchange["response"]["body"])
    vectors = [entry["embedding"] for entry in document.body["data"]]
    wanted = recorded_vectors(said)
    if exchange["id"].startswith("perplexity"):
        wanted = [signed_bytes(embedding) for embedding in wanted]
    assert vectors == wanted
    assert [entry["index"] for entry in document.body["data"]] == list(range(len(vectors)))
    tokens = recorded_tokens(said)
    assert (document.usage and document.usage.prompt_tokens) == tokens


def signed_bytes(embedding: Any) -> list[int]:
    """Return the numbers that Perplexity's base64 stands for."""
    return [one - 256 if one > 127 else one for one in base64.b64decode(embedding)]


def recorded_vectors(said: dict[str, Any]) -> list[Any]:
    if "data" in said:
        return [entry["embedding"] for entry in said["data"]]
    if "embedding" in said:
        return [said["embedding"]["values"]]
    found = said["embeddings"]
    if isinstance(found, dict):
        (vectors,) = found.values()
        return vectors
    return [entry["values"] for entry in found]


def recorded_tokens(said: dict[str, Any]) -> int | None:
    usage = said.get("usage") or {}
    if usage:
        return usage.get("prompt_tokens", usage.get("total_tokens"))
    if "usageMetadata" in said:
        return said["usageMetadata"]["promptTokenCount"]
    return ((said.get("meta") or {}).get("billed_units") or {}).get("input_tokens")


@pytest.mark.parametrize("exchange", recordings("images"))
def test_recorded_images_become_stored_bytes(exchange: Exchange) -> None:
    document = answer(exchange)
    if document is None:
        return
    said = json.loads(exchange["response"]["body"])
    assert [media.content for media in document.media] == [
        base64.b64decode(entry["b64_json"]) for entry in said["data"]
    ]
    assert [entry["file_id"] for entry in document.body["data"]] == [m.id for m in document.media]
    assert all(media.media_type == "image/png" for media in document.media)
    assert document.usage.output == said["usage"]["output_tokens"]


@pytest.mark.parametrize("exchange", recordings("completions"))
def test_recorded_text_is_kept(exchange: Exchange) -> None:
    completion = answer(exchange)
    if completion is not None:
        said = json.loads(exchange["response"]["body"])
        assert [choice["message"]["content"] for choice in completion.choices] == [
            choice["text"] for choice in said["choices"]
        ]


@pytest.mark.parametrize("exchange", recordings("rerank"))
def test_recorded_order_and_scores_are_kept(exchange: Exchange) -> None:
    document = answer(exchange)
    said = json.loads(exchange["response"]["body"])
    recorded = said.get("results") or said["data"]
    assert [(each["index"], each["relevance_score"]) for each in document.body["results"]] == [
        (entry["index"], entry["relevance_score"]) for entry in recorded
    ]


def test_an_embedding_asked_as_base64_is_packed_where_the_provider_sends_numbers() -> None:
    request = CompletionRequest({"input": "x", "encoding_format": "base64"}, "embed")
    answer = OPERATIONS[Operation.EMBEDDINGS, "gemini"].read_response(
        b'{"embeddings": [{"values": [0.5, -1.0]}]}', request
    )
    (entry,) = answer.body["data"]
    assert struct.unpack("<2f", base64.b64decode(entry["embedding"])) == (0.5, -1.0)


def test_a_transcription_is_sent_as_a_form_that_a_server_can_read() -> None:
    sound = base64.b64encode(b"RIFFsound").decode()
    request = CompletionRequest(
        {"input_audio": {"data": sound, "format": "wav"}, "language": "en"}, "whisper-1"
    )
    upstream = Upstream(slug="openai", base_url="https://host/v1", api_key="key")
    sent = OPERATIONS[Operation.TRANSCRIPTIONS, "openai"].build_request(request, upstream)

    assert sent.url == "https://host/v1/audio/transcriptions"
    assert sent.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="file"; filename="audio.wav"' in sent.body
    assert b"RIFFsound" in sent.body
    assert b'name="language"\r\n\r\nen\r\n' in sent.body
    assert b'name="model"\r\n\r\nwhisper-1\r\n' in sent.body


def test_the_core_and_the_workers_agree_on_what_is_served() -> None:
    registered: dict[str, set[Operation]] = {}
    for operation, wire in OPERATIONS:
        chats = {Operation.CHAT} if wire in ADAPTERS else set()
        registered.setdefault(wire, chats).add(operation)
    assert registered == {wire: set(operations) for wire, operations in SERVED.items()}


def test_the_core_and_the_workers_agree_on_who_speaks_the_responses_api() -> None:
    offered = {wire for wire, extra in EXTRA_INTERFACES.items() if Interface.RESPONSES in extra}
    assert offered == {*RESPONSES, "responses"}
