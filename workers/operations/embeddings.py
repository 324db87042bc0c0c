"""POST /embeddings: OpenAI's shape over OpenAI's, Gemini's and Cohere's wires.

Rules: OpenAI API reference, "Create embeddings"; Gemini API, "batchEmbedContents"; Vertex AI,
"Text embeddings"; Cohere API v2, "Embed". Vectors are passed on as the provider sent them, in
the requested encoding.
"""

import base64
import binascii
import math
import struct
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import orjson

from broker.completion import CompletionRequest, Document, Json, Usage
from broker.requests.operations import Operation
from workers.adapters.base import HttpRequest, MalformedAnswerError, Upstream
from workers.adapters.cohere.adapter import build_headers, build_url
from workers.adapters.gemini.adapter import build_headers as gemini_headers
from workers.adapters.json_shapes import as_object, parse_object
from workers.adapters.openai.usage import read_usage
from workers.operations.base import OperationAdapter, build_json_request, parse_answer, require_list

FLOAT_BYTES = 4


def read_inputs(request: CompletionRequest) -> list[Any]:
    """Return the inputs as a list. A string, or a list of tokens, is one input."""
    given = request.body.get("input")
    if isinstance(given, list) and not (given and isinstance(given[0], int)):
        return given
    return [given]


def build_embeddings(request: CompletionRequest, found: Sequence[Any]) -> Json:
    """Return OpenAI's list of embeddings, in the encoding of the request."""
    packed = request.body.get("encoding_format") == "base64"
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _encode(vector, packed=packed)}
            for index, vector in enumerate(found)
        ],
    }


def _encode(vector: Any, *, packed: bool) -> Any:
    """Return a vector in the requested encoding, from either encoding.

    OpenAI's base64 is a sequence of little-endian 32-bit floats.
    Raises MalformedAnswerError for anything else.
    """
    if isinstance(vector, str):
        return vector if packed else _floats(vector)
    if not packed:
        return vector
    if not isinstance(vector, list) or not all(isinstance(one, int | float) for one in vector):
        raise MalformedAnswerError("an embedding is not a list of numbers")
    try:
        content = struct.pack(f"<{len(vector)}f", *vector)
    except (OverflowError, struct.error):
        raise MalformedAnswerError("an embedding is not made of 32-bit floats") from None
    return base64.b64encode(content).decode()


def _floats(encoded: str) -> list[float]:
    content = _bytes(encoded)
    if len(content) % FLOAT_BYTES:
        raise MalformedAnswerError("an embedding is not made of 32-bit floats")
    numbers = list(struct.unpack(f"<{len(content) // FLOAT_BYTES}f", content))
    if not all(map(math.isfinite, numbers)):
        raise MalformedAnswerError("an embedding is not made of 32-bit floats")
    return numbers


def _bytes(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise MalformedAnswerError("an embedding is not base64") from None


class OpenAiEmbeddings(OperationAdapter):
    operation = Operation.EMBEDDINGS
    wires = ("openai", "azure", "mistral")

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        return build_json_request("/embeddings", request, upstream, request.body)

    def read_response(self, body: bytes, request: CompletionRequest) -> Document:
        parsed = parse_answer(body)
        found = require_list(parsed, "data")
        if all(isinstance(entry.get("index"), int) for entry in found):
            found = sorted(found, key=lambda entry: entry["index"])
        return Document(
            body=build_embeddings(
                request, [self._vector(entry.get("embedding")) for entry in found]
            ),
            usage=_usage(parsed.get("usage")),
            upstream_id=parsed.get("id"),
            upstream_model=parsed.get("model"),
        )

    def _vector(self, given: Any) -> Any:
        """Return the vendor's vector as a list of numbers or as OpenAI's base64."""
        return given


class Int8Embeddings(OpenAiEmbeddings):
    """Embeddings as signed bytes, Perplexity's default and its only exact encoding.

    Source: docs.perplexity.ai/docs/embeddings/best-practices. The caller gets the bytes as
    numbers. A common scale does not change a cosine similarity.
    """

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        path = "/embeddings" if upstream.base_url.endswith("/v1") else "/v1/embeddings"
        body = {**request.body, "encoding_format": "base64_int8"}
        return build_json_request(path, request, upstream, body)

    def _vector(self, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        packed = _bytes(given)
        return [float(number) for number in struct.unpack(f"{len(packed)}b", packed)]


def _usage(raw: Any) -> Usage | None:
    """Return the usage. Voyage states only the total, which is the input of an embedding."""
    if isinstance(raw, dict) and raw.get("prompt_tokens") is None and raw.get("total_tokens"):
        return Usage(input=raw["total_tokens"], output=0)
    return read_usage(raw)


class GeminiEmbeddings(OperationAdapter):
    operation = Operation.EMBEDDINGS
    wires = ("gemini",)

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        name = request.model.removeprefix("models/").removeprefix("google/")
        return HttpRequest(
            url=f"{upstream.base_url}/models/{quote(name)}:batchEmbedContents",
            headers=gemini_headers(upstream, stream=False),
            body=orjson.dumps(
                {"requests": [_content(text, name, request) for text in read_inputs(request)]}
            ),
        )

    def read_response(self, body: bytes, request: CompletionRequest) -> Document:
        parsed = parse_object(body)
        single = parsed.get("embedding")
        found = [single] if isinstance(single, dict) else require_list(parsed, "embeddings")
        counted = as_object(parsed.get("usageMetadata"))
        tokens = counted.get("promptTokenCount")
        return Document(
            body=build_embeddings(request, [entry.get("values") for entry in found]),
            usage=None if tokens is None else Usage(input=tokens, output=0),
        )


def _content(text: Any, name: str, request: CompletionRequest) -> Json:
    content: Json = {"model": f"models/{name}", "content": {"parts": [{"text": str(text)}]}}
    if request.body.get("dimensions"):
        content["outputDimensionality"] = request.body["dimensions"]
    return content


class CohereEmbeddings(OperationAdapter):
    operation = Operation.EMBEDDINGS
    wires = ("cohere",)

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        body: Json = {
            "model": request.model,
            "texts": read_inputs(request),
            "input_type": request.body.get("input_type") or "search_document",
            "embedding_types": ["float"],
        }
        if request.body.get("dimensions"):
            body["output_dimension"] = request.body["dimensions"]
        return HttpRequest(
            url=build_url(upstream, "/v2/embed"),
            headers=build_headers(upstream),
            body=orjson.dumps(body),
        )

    def read_response(self, body: bytes, request: CompletionRequest) -> Document:
        parsed = parse_object(body)
        found: Any = parsed.get("embeddings")
        if isinstance(found, dict):  # by type: the first that is there
            found = next(iter(found.values()), None)
        if not isinstance(found, list):
            raise MalformedAnswerError("no list `embeddings`")
        billed = as_object(as_object(parsed.get("meta")).get("billed_units"))
        tokens = billed.get("input_tokens")
        return Document(
            body=build_embeddings(request, found),
            usage=None if tokens is None else Usage(input=int(tokens), output=0),
            upstream_id=parsed.get("id"),
        )
