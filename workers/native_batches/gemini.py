"""Gemini's batches, with their requests inline: ai.google.dev/api/batch-api."""

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote

import orjson

from broker.completion import Json
from workers.adapters.base import HttpRequest, MalformedAnswerError, Upstream
from workers.adapters.gemini.adapter import build_headers
from workers.adapters.json_shapes import parse_object
from workers.native_batches.base import (
    BatchApi,
    BatchOrder,
    BatchProgress,
    LineResult,
    ListedBatch,
    ProviderBatchPage,
    refused_result,
    text,
)

WAITS = frozenset(
    {"UNSPECIFIED", "PENDING", "QUEUED", "RUNNING", "CANCELLING", "PAUSED", "UPDATING"}
)


class GeminiBatches(BatchApi):
    """See `BatchApi`. The last poll contains the results, so nothing is downloaded."""

    name = "gemini"
    max_bytes = 19_000_000

    def line(self, custom_id: str, path: str, body: bytes) -> bytes:  # noqa: ARG002
        entry = {"request": orjson.Fragment(body), "metadata": {"key": custom_id}}
        return orjson.dumps(entry)

    def create(
        self,
        order: BatchOrder,
        file_id: str | None,  # noqa: ARG002
        upstream: Upstream,
    ) -> HttpRequest:
        model = quote(f"models/{order.model.removeprefix('models/').removeprefix('google/')}")
        requests = b",".join(order.lines)
        body = b'{"batch":{"displayName":%b,"inputConfig":{"requests":{"requests":[%b]}}}}' % (
            orjson.dumps(order.marker),
            requests,
        )
        url = f"{upstream.base_url}/{model}:batchGenerateContent"
        return HttpRequest(url, build_headers(upstream, stream=False), body)

    def created(self, body: bytes) -> str:
        return text(parse_object(body), "name")

    def listing(self, after: str | None, upstream: Upstream) -> HttpRequest:
        more = f"&pageToken={quote(after)}" if after else ""
        return _get(f"{upstream.base_url}/batches?pageSize=100{more}", upstream)

    def page(self, body: bytes) -> ProviderBatchPage:
        listed = parse_object(body)
        found = listed.get("operations") or ()
        return ProviderBatchPage(
            [_listed(each) for each in found], listed.get("nextPageToken") or None
        )

    def poll(self, batch_id: str, upstream: Upstream) -> HttpRequest:
        return _get(f"{upstream.base_url}/{batch_id}", upstream)

    def progress(self, body: bytes) -> BatchProgress:
        operation = parse_object(body)
        facts = operation.get("metadata") or {}
        state = text(facts, "state").rpartition("STATE_")[2]
        counts = facts.get("batchStats") or {}
        results = list(_results(operation))
        late = state == "SUCCEEDED" and not results  # the answers may appear after the state
        return BatchProgress(
            ended=(bool(operation.get("done")) or state not in WAITS) and not late,
            completed=int(counts.get("successfulRequestCount") or 0),
            failed=int(counts.get("failedRequestCount") or 0),
            inline=results,
            failure_reason=None
            if state == "SUCCEEDED"
            else f"The provider's batch ended as {state}.",
        )

    def results(self, file_id: str, upstream: Upstream) -> HttpRequest:
        raise NotImplementedError  # its `BatchProgress.files` are always empty

    def result(self, line: bytes) -> LineResult:
        return _result(parse_object(line))

    def cancel(self, batch_id: str, upstream: Upstream) -> HttpRequest:
        url = f"{upstream.base_url}/{batch_id}:cancel"
        return HttpRequest(url, build_headers(upstream, stream=False), b"")


def _get(url: str, upstream: Upstream) -> HttpRequest:
    return HttpRequest(url, build_headers(upstream, stream=False), b"", "GET")


def _results(operation: Json) -> Iterator[LineResult]:
    """Yield the results: of the operation's response, or of the batch's own output."""
    answered = operation.get("response") or (operation.get("metadata") or {}).get("output") or {}
    wrapped = answered.get("inlinedResponses") or {}
    entries = wrapped.get("inlinedResponses") if isinstance(wrapped, dict) else wrapped
    for entry in entries or ():
        yield _result(entry)


def _result(entry: Json) -> LineResult:
    key = text(entry.get("metadata") or {}, "key")
    answer = entry.get("response")
    if isinstance(answer, dict):
        return LineResult(key, orjson.dumps(answer))
    return refused_result(key, {"error": entry.get("error")})


def _listed(operation: Json) -> ListedBatch:
    facts = operation.get("metadata") or {}
    try:
        created = datetime.fromisoformat(text(facts, "createTime")).timestamp()
    except ValueError:
        raise MalformedAnswerError("`createTime` is no time") from None
    total = int((facts.get("batchStats") or {}).get("requestCount") or 0)
    return ListedBatch(text(operation, "name"), facts.get("displayName"), created, total)
