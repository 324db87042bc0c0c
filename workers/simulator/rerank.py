"""POST /v1/rerank, as Jina and most others have it, and Cohere's /v2/rerank."""

from typing import Any
from uuid import uuid4

import orjson

from workers.simulator.bodies import required_text
from workers.simulator.operation import Operation
from workers.simulator.replies import count_tokens
from workers.simulator.requests import ErrorReply, Json, Reply, Request, invalid
from workers.simulator.wire import Head


class Rerank(Operation):
    """A document's score is the share of the query's words that it has."""

    tells_documents = True  # unless it is asked not to

    def understand(self, call: Json, head: Head) -> Request:
        del head
        query = required_text(call, "query")
        documents = [_text(document) for document in call["documents"]]
        if not documents:
            raise invalid("Missing required parameter: 'documents'")
        most = call.get("top_n") or call.get("top_k") or len(documents)
        told = bool(call.get("return_documents", self.tells_documents))
        tokens = sum(map(count_tokens, documents)) + count_tokens(query)
        detail = (documents, int(most), told)
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
    """The same in Cohere's words."""

    tells_documents = False

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
    documents, most, told = request.detail
    scores = [score(request.text, document) for document in documents]
    order = sorted(range(len(documents)), key=lambda index: -scores[index])
    return [
        {"index": index, "relevance_score": scores[index]}
        | ({"document": {"text": documents[index]}} if told else {})
        for index in order[:most]
    ]


def _text(document: Any) -> str:
    text = document if isinstance(document, str) else document["text"]
    return str(text)


def _words(text: str) -> set[str]:
    words = {word.strip("?!.,;:'\"()").lower() for word in text.split()}
    return words - {""}
