"""POST /rerank: order documents by their relevance to a query.

Rules: Cohere API v2, "Rerank"; Voyage AI, "Reranker"; Jina and Together follow Cohere's shape.
"""

from typing import Any

import orjson

from broker.completion import CompletionRequest, Document, Json, Usage
from broker.requests.operations import Operation
from workers.adapters.base import HttpRequest, MalformedAnswerError, Upstream
from workers.adapters.cohere.adapter import build_headers, build_url
from workers.adapters.json_shapes import as_object
from workers.adapters.openai.usage import read_usage
from workers.operations.base import OperationAdapter, build_json_request, parse_answer, require_list


class OpenAiRerank(OperationAdapter):
    operation = Operation.RERANK
    wires = ("openai",)

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        return build_json_request("/rerank", request, upstream, request.body)

    def read_response(self, body: bytes, request: CompletionRequest) -> Document:
        parsed = parse_answer(body)
        # Voyage has OpenAI's name for the list, the others Cohere's
        name = "results" if "results" in parsed else "data"
        results = [_result(entry, request) for entry in require_list(parsed, name)]
        return Document(
            body={"object": "list", "results": results},
            usage=_usage(parsed),
            upstream_id=parsed.get("id"),
            upstream_model=parsed.get("model"),
        )


class CohereRerank(OpenAiRerank):
    wires = ("cohere",)

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        body = {name: value for name, value in request.body.items() if name in _COHERE}
        return HttpRequest(
            url=build_url(upstream, "/v2/rerank"),
            headers=build_headers(upstream),
            body=orjson.dumps(body | {"model": request.model}),
        )


_MOST_UNITS = 1_000_000
_COHERE = frozenset({"query", "documents", "top_n", "max_tokens_per_doc"})


def _result(entry: Json, request: CompletionRequest) -> Json:
    index = entry.get("index")
    if not isinstance(index, int):
        raise MalformedAnswerError("a result names no document")
    result: Json = {"index": index, "relevance_score": entry.get("relevance_score")}
    documents = request.body.get("documents") or []
    if request.body.get("return_documents") is not False and 0 <= index < len(documents):
        given = documents[index]
        result["document"] = given if isinstance(given, dict) else {"text": given}
    return result


def _usage(parsed: Json) -> Usage | None:
    raw: Any = parsed.get("usage")
    if isinstance(raw, dict) and raw.get("prompt_tokens") is None and raw.get("total_tokens"):
        return Usage(input=raw["total_tokens"], output=0)
    counted = read_usage(raw)
    if counted is not None:
        return counted
    billed = as_object(as_object(parsed.get("meta")).get("billed_units"))
    units = billed.get("search_units")
    if isinstance(units, bool) or not isinstance(units, int | float):
        return None
    # Cohere bills searches of up to 100 documents, not tokens
    return Usage(input=0, output=0, requests=max(1, int(min(units, _MOST_UNITS))))
