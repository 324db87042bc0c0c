"""Anthropic's message batches: platform.claude.com/docs/en/api/creating-message-batches.

The API has no field for a marker. An unconfirmed batch is found by its time and size.
"""

from datetime import datetime

import orjson

from broker.completion import Json
from workers.adapters.anthropic.adapter import build_headers
from workers.adapters.base import HttpRequest, MalformedAnswerError, Upstream
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
    unprocessed_result,
)


class AnthropicBatches(BatchApi):
    """See `BatchApi`."""

    name = "anthropic"
    max_bytes = 250_000_000
    marks = False

    def line(self, custom_id: str, path: str, body: bytes) -> bytes:  # noqa: ARG002
        return orjson.dumps({"custom_id": custom_id, "params": orjson.Fragment(body)})

    def create(
        self,
        order: BatchOrder,
        file_id: str | None,  # noqa: ARG002
        upstream: Upstream,
    ) -> HttpRequest:
        body = b'{"requests":[%b]}' % b",".join(order.lines)
        return HttpRequest(_url(upstream), build_headers(upstream), body)

    def listing(self, after: str | None, upstream: Upstream) -> HttpRequest:
        more = f"&after_id={after}" if after else ""
        return _get(f"{_url(upstream)}?limit=100{more}", upstream)

    def page(self, body: bytes) -> ProviderBatchPage:
        listed = parse_object(body)
        batches = [_parse_listed(each) for each in listed.get("data") or ()]
        return ProviderBatchPage(batches, listed.get("last_id") if listed.get("has_more") else None)

    def poll(self, batch_id: str, upstream: Upstream) -> HttpRequest:
        return _get(f"{_url(upstream)}/{batch_id}", upstream)

    def progress(self, body: bytes) -> BatchProgress:
        batch = parse_object(body)
        counts = batch.get("request_counts") or {}
        undone = (counts.get("canceled") or 0) + (counts.get("expired") or 0)
        return BatchProgress(
            ended=text(batch, "processing_status") == "ended",
            completed=counts.get("succeeded") or 0,
            failed=counts.get("errored") or 0,
            files=[text(batch, "id")],
            failure_reason="The provider's batch ended before it had run all lines."
            if undone
            else None,
        )

    def results(self, file_id: str, upstream: Upstream) -> HttpRequest:
        return _get(f"{_url(upstream)}/{file_id}/results", upstream)

    def result(self, line: bytes) -> LineResult:
        body = parse_object(line)
        custom_id, result = text(body, "custom_id"), body.get("result")
        match result:
            case {"type": "succeeded", "message": dict(message)}:
                return LineResult(custom_id, orjson.dumps(message))
            case {"type": "errored", "error": error}:
                return refused_result(custom_id, error)
            case {"type": "canceled" | "expired" as end}:
                return unprocessed_result(
                    custom_id, f"The provider's batch {end} before this line was run."
                )
        raise MalformedAnswerError("a result of an unknown type")

    def cancel(self, batch_id: str, upstream: Upstream) -> HttpRequest:
        return HttpRequest(f"{_url(upstream)}/{batch_id}/cancel", build_headers(upstream), b"")


def _url(upstream: Upstream) -> str:
    return f"{upstream.base_url}/messages/batches"


def _get(url: str, upstream: Upstream) -> HttpRequest:
    return HttpRequest(url, build_headers(upstream), b"", "GET")


def _parse_listed(value: object) -> ListedBatch:
    if not isinstance(value, dict):
        raise MalformedAnswerError("a batch that is no object")
    return ListedBatch(text(value, "id"), None, _moment(value), _total(value))


def _moment(batch: Json) -> float:
    try:
        return datetime.fromisoformat(text(batch, "created_at")).timestamp()
    except ValueError:
        raise MalformedAnswerError("`created_at` is no time") from None


def _total(batch: Json) -> int:
    return sum((batch.get("request_counts") or {}).values())
