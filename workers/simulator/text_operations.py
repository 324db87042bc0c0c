"""POST /v1/completions, /v1/embeddings, /v1/rerank and /v1/moderations."""

import struct
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import shake_128
from math import sqrt
from typing import Any, Final
from uuid import uuid4

import orjson

from workers.simulator.http import json_call, required_text
from workers.simulator.openai_shapes import OpenAIWire, event, finish_reason, usage
from workers.simulator.openai_wire import DONE, Operation
from workers.simulator.replies import count_tokens, pieces
from workers.simulator.wire import ErrorReply, Head, Json, Reply, Request, invalid

DEFAULT_LIMIT = 16  # tokens, OpenAI's default


class Completions(OpenAIWire):
    """Text completions with one prompt for each call: a text, or a list of tokens."""

    def read(self, head: Head, body: bytes) -> Request:
        del head
        call = json_call(body)
        text, tokens = _prompt(call.get("prompt"))
        limit, options = call.get("max_tokens"), call.get("stream_options")
        return Request(
            model=call["model"],
            stream=bool(call.get("stream")),
            stream_usage=isinstance(options, dict) and bool(options.get("include_usage")),
            text=text,
            tokens=tokens,
            max_tokens=limit if isinstance(limit, int) else DEFAULT_LIMIT,
        )

    def answer(self, request: Request, reply: Reply) -> bytes:
        whole = _head(request) | {"choices": [_choice(reply.text or "", finish_reason(reply))]}
        return orjson.dumps(whole | {"usage": usage(request, reply)} if reply.usage else whole)

    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        for chunk in _chunks(request, reply):
            yield event(chunk)
        yield DONE


def _prompt(requested: Any) -> tuple[str, int]:
    """Return the text of a prompt and its tokens."""
    if isinstance(requested, list) and len(requested) == 1 and not isinstance(requested[0], int):
        requested = requested[0]
    if isinstance(requested, str):
        return requested, count_tokens(requested)
    if (
        requested
        and isinstance(requested, list)
        and all(isinstance(token, int) for token in requested)
    ):
        return f"{len(requested)} tokens", len(requested)
    raise invalid("Invalid value for 'prompt': one text or one list of tokens can be completed")


def _chunks(request: Request, reply: Reply) -> Iterator[dict[str, Any]]:
    head = _head(request)
    for piece in pieces(reply.text or ""):
        yield head | {"choices": [_choice(piece, None)]}
    yield head | {"choices": [_choice("", finish_reason(reply))]}
    if request.stream_usage and reply.usage:
        yield head | {"choices": [], "usage": usage(request, reply)}


def _head(request: Request) -> dict[str, Any]:
    return {
        "id": f"cmpl-{uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": request.model,
    }


def _choice(text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}


DIMENSIONS: Final = 1536
MOST_DIMENSIONS: Final = 4096
MOST_INPUTS: Final = 2048
FORMATS: Final = ("float", "base64")
Input = str | list[int]


class Embeddings(Operation):
    """Embeddings: vectors of unit length, always the same for the same input."""

    def understand(self, call: Json, head: Head) -> Request:
        del head
        inputs = _inputs(call["input"])
        dimensions = int(call.get("dimensions") or DIMENSIONS)
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise invalid(f"Invalid value for 'dimensions': 1 to {MOST_DIMENSIONS} can be had")
        encoding = call.get("encoding_format") or "float"
        if encoding not in FORMATS:
            raise invalid("Invalid value for 'encoding_format'")
        tokens = sum(map(_count, inputs))
        detail = (inputs, dimensions, encoding)
        return Request(call["model"], tokens=tokens, detail=detail)

    def answer(self, request: Request, reply: Reply) -> bytes:
        inputs, dimensions, encoding = request.detail
        data = [
            {"object": "embedding", "index": index, "embedding": _encode(each, encoding)}
            for index, each in enumerate(vector(_key(each), dimensions) for each in inputs)
        ]
        whole: dict[str, Any] = {"object": "list", "data": data, "model": request.model}
        if reply.usage:
            whole["usage"] = {"prompt_tokens": request.tokens, "total_tokens": request.tokens}
        return orjson.dumps(whole)


@lru_cache(maxsize=1024)
def vector(key: bytes, dimensions: int) -> tuple[float, ...]:
    raw = struct.unpack(f"<{dimensions}h", shake_128(key).digest(2 * dimensions))
    length = sqrt(sum(number * number for number in raw)) or 1.0
    return tuple(number / length for number in raw)


def _inputs(requested: Any) -> list[Input]:
    """Return the inputs, which are texts or lists of tokens."""
    if isinstance(requested, str) or (requested and isinstance(requested[0], int)):
        requested = [requested]
    if not requested or len(requested) > MOST_INPUTS or not all(map(_valid, requested)):
        raise invalid("Invalid value for 'input': texts or lists of tokens, none empty")
    inputs: list[Input] = requested
    return inputs


def _valid(each: Any) -> bool:
    if isinstance(each, str):
        return bool(each)
    return isinstance(each, list) and bool(each) and all(isinstance(token, int) for token in each)


def _count(each: Input) -> int:
    return count_tokens(each) if isinstance(each, str) else len(each)


def _key(each: Input) -> bytes:
    return each.encode() if isinstance(each, str) else orjson.dumps(each)


def _encode(numbers: tuple[float, ...], encoding: str) -> tuple[float, ...] | str:
    if encoding == "float":
        return numbers
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


class Rerank(Operation):
    """Reranking: a document's score is its share of the query's words."""

    returns_documents = True  # the default of `return_documents`

    def understand(self, call: Json, head: Head) -> Request:
        del head
        query = required_text(call, "query")
        documents = [_text(document) for document in call["documents"]]
        if not documents:
            raise invalid("Missing required parameter: 'documents'")
        most = call.get("top_n") or call.get("top_k") or len(documents)
        return_documents = bool(call.get("return_documents", self.returns_documents))
        tokens = sum(map(count_tokens, documents)) + count_tokens(query)
        detail = (documents, int(most), return_documents)
        return Request(call["model"], text=query, tokens=tokens, detail=detail)

    def answer(self, request: Request, reply: Reply) -> bytes:
        whole: dict[str, Any] = {
            "id": str(uuid4()),
            "model": request.model,
            "results": _results(request),
        }
        if reply.usage:
            whole["usage"] = {"total_tokens": request.tokens}
        return orjson.dumps(whole)


class CohereRerank(Rerank):
    """Reranking in Cohere's shape."""

    returns_documents = False

    def answer(self, request: Request, reply: Reply) -> bytes:
        meta: dict[str, Any] = {"api_version": {"version": "2"}}
        if reply.usage:
            meta["billed_units"] = {"search_units": 1}
        whole = {"id": str(uuid4()), "results": _results(request), "meta": meta}
        return orjson.dumps(whole)

    def refuse(self, refusal: ErrorReply) -> bytes:
        return orjson.dumps({"id": str(uuid4()), "message": refusal.message})


def score(query: str, document: str) -> float:
    wanted, there = _words(query), _words(document)
    return round(len(wanted & there) / len(wanted), 6) if wanted else 0.0


def _results(request: Request) -> list[dict[str, Any]]:
    documents, most, return_documents = request.detail
    scores = [score(request.text, document) for document in documents]
    order = sorted(range(len(documents)), key=lambda index: -scores[index])
    return [
        {"index": index, "relevance_score": scores[index]}
        | ({"document": {"text": documents[index]}} if return_documents else {})
        for index in order[:most]
    ]


def _text(document: Any) -> str:
    text = document if isinstance(document, str) else document["text"]
    return str(text)


def _words(text: str) -> set[str]:
    words = {word.strip("?!.,;:'\"()").lower() for word in text.split()}
    return words - {""}


CATEGORIES: Final = ("harassment", "hate", "self-harm", "sexual", "violence")


class Moderations(Operation):
    """Moderation: a category applies if its name is a word of the input."""

    def understand(self, call: Json, head: Head) -> Request:
        del head
        inputs = _moderated(call["input"])
        if not inputs:
            raise invalid("Missing required parameter: 'input'")
        return Request(call["model"], tokens=sum(map(count_tokens, inputs)), detail=inputs)

    def answer(self, request: Request, reply: Reply) -> bytes:
        whole: dict[str, Any] = {
            "id": f"modr-{uuid4().hex}",
            "model": request.model,
            "results": [_moderate(text) for text in request.detail],
        }
        if reply.usage:
            whole["usage"] = {"prompt_tokens": request.tokens, "total_tokens": request.tokens}
        return orjson.dumps(whole)


def _moderated(requested: Any) -> list[str]:
    """Return the inputs: texts, or the parts of one input."""
    if isinstance(requested, str):
        return [requested]
    if all(isinstance(each, str) for each in requested):
        return list(requested)
    return [" ".join(part["text"] for part in requested if part["type"] == "text")]


def _moderate(text: str) -> dict[str, Any]:
    words = _words(text)
    categories = {name: name in words for name in CATEGORIES}
    return {
        "flagged": any(categories.values()),
        "categories": categories,
        "category_scores": {name: 0.9 if found else 0.01 for name, found in categories.items()},
    }
