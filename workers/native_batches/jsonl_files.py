"""Batch APIs that take files of JSON lines: OpenAI's, Groq's and Mistral's.

The file of lines is uploaded, and the files of results are downloaded. For Mistral see
https://docs.mistral.ai/capabilities/batch and its API reference.
"""

import uuid
from typing import Any, ClassVar

import orjson

from broker.completion import Json
from workers.adapters.base import HttpRequest, MalformedAnswerError, Upstream
from workers.adapters.json_shapes import parse_object
from workers.adapters.openai.adapter import build_headers
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

MARKER = "waybill_batch"
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
NO_QUOTA = "token_limit_exceeded"  # too many tokens of the model are waiting
NEVER_RUN = frozenset({"batch_expired", "batch_cancelled"})
_OK = range(200, 300)


class JsonlFiles(BatchApi):
    """The shared part of batch APIs that take JSONL files."""

    path: ClassVar[str] = "/batches"

    def upload(self, order: BatchOrder, upstream: Upstream) -> HttpRequest:
        boundary = uuid.uuid4().hex
        content = f"multipart/form-data; boundary={boundary}"
        return HttpRequest(
            f"{upstream.base_url}/files",
            build_headers(upstream, content=content),
            _form(boundary, order),
        )

    def poll(self, batch_id: str, upstream: Upstream) -> HttpRequest:
        return _get(f"{upstream.base_url}{self.path}/{batch_id}", upstream)

    def results(self, file_id: str, upstream: Upstream) -> HttpRequest:
        return _get(f"{upstream.base_url}/files/{file_id}/content", upstream)

    def cancel(self, batch_id: str, upstream: Upstream) -> HttpRequest:
        url = f"{upstream.base_url}{self.path}/{batch_id}/cancel"
        return HttpRequest(url, build_headers(upstream), b"")

    def result(self, line: bytes) -> LineResult:
        body = parse_object(line)
        custom_id = text(body, "custom_id")
        error, response = body.get("error"), body.get("response")
        if not isinstance(response, dict):
            if isinstance(error, dict) and error.get("code") in NEVER_RUN:
                return unprocessed_result(
                    custom_id, str(error.get("message") or "It was not run in time.")
                )
            return refused_result(custom_id, {"error": error})
        status = response.get("status_code")
        answer = response.get("body")
        if not isinstance(status, int) or status not in _OK or not isinstance(answer, dict):
            # some lines are reported as done with a status of 0 and no content
            return refused_result(custom_id, answer, status if isinstance(status, int) else 0)
        return LineResult(custom_id, orjson.dumps(answer))


class OpenAiBatches(JsonlFiles):
    """See `BatchApi`."""

    name = "openai"
    max_bytes = 190_000_000

    def line(self, custom_id: str, path: str, body: bytes) -> bytes:
        facts = {"custom_id": custom_id, "method": "POST", "url": path}
        return orjson.dumps(facts | {"body": orjson.Fragment(body)})

    def create(self, order: BatchOrder, file_id: str | None, upstream: Upstream) -> HttpRequest:
        batch = {
            "input_file_id": file_id,
            "endpoint": order.path,
            "completion_window": "24h",
            "metadata": {MARKER: order.marker},
        }
        url = f"{upstream.base_url}{self.path}"
        return HttpRequest(url, build_headers(upstream), orjson.dumps(batch))

    def listing(self, after: str | None, upstream: Upstream) -> HttpRequest:
        more = f"&after={after}" if after else ""
        return _get(f"{upstream.base_url}{self.path}?limit=100{more}", upstream)

    def page(self, body: bytes) -> ProviderBatchPage:
        listed = parse_object(body)
        batches = [_listed(each) for each in objects(listed.get("data"))]
        return ProviderBatchPage(
            batches, batches[-1].id if batches and listed.get("has_more") else None
        )

    def progress(self, body: bytes) -> BatchProgress:
        batch = parse_object(body)
        status, counts = text(batch, "status"), batch.get("request_counts") or {}
        names = ("output_file_id", "error_file_id")
        files = [file_id for name in names if (file_id := batch.get(name))]
        done, failed = counts.get("completed") or 0, counts.get("failed") or 0
        late = status == "completed" and not files and (done or failed)
        errors = objects((batch.get("errors") or {}).get("data"))
        return BatchProgress(
            ended=status in ENDED and not late,  # the files may appear after `completed`
            completed=done,
            failed=failed,
            files=files,
            failure_reason=None if status == "completed" else _describe_end(status, errors),
            lacks_quota=status == "failed" and any(each.get("code") == NO_QUOTA for each in errors),
        )


class GroqBatches(OpenAiBatches):
    """See `BatchApi`."""

    name = "groq"


def objects(found: Any) -> list[Json]:
    return [each for each in found or () if isinstance(each, dict)]


def _describe_end(status: str, errors: list[Json]) -> str:
    reasons = "; ".join(str(each.get("message")) for each in errors[:3])
    return f"The provider's batch ended as {status}{': ' if reasons else ''}{reasons}."


def _listed(batch: Json) -> ListedBatch:
    created = batch.get("created_at")
    if not isinstance(created, int | float):
        raise MalformedAnswerError("a batch without `created_at`")
    marker = (batch.get("metadata") or {}).get(MARKER)
    total = (batch.get("request_counts") or {}).get("total") or 0
    return ListedBatch(text(batch, "id"), marker, float(created), total)


def _get(url: str, upstream: Upstream) -> HttpRequest:
    return HttpRequest(url, build_headers(upstream), b"", "GET")


def _form(boundary: str, order: BatchOrder) -> bytes:
    """Return the multipart body (RFC 7578): the purpose, then the file."""
    name = f"{order.marker}.jsonl"
    disposition = 'Content-Disposition: form-data; name="{}"'.format
    parts = [
        f"--{boundary}\r\n{disposition('purpose')}\r\n\r\nbatch\r\n".encode(),
        f'--{boundary}\r\n{disposition("file")}; filename="{name}"\r\n'
        "Content-Type: application/jsonl\r\n\r\n".encode(),
        b"\n".join(order.lines),
        f"\n\r\n--{boundary}--\r\n".encode(),
    ]
    return b"".join(parts)


PAGE_SIZE = 100
WAITS = frozenset({"QUEUED", "RUNNING", "CANCELLATION_REQUESTED"})


class MistralBatches(JsonlFiles):
    """See `BatchApi`. The batch names the model, and its lines do not."""

    name = "mistral"
    max_bytes = 190_000_000
    path = "/batch/jobs"

    def line(self, custom_id: str, path: str, body: bytes) -> bytes:  # noqa: ARG002
        request = parse_object(body)
        request.pop("model", None)
        return orjson.dumps({"custom_id": custom_id, "body": request})

    def create(self, order: BatchOrder, file_id: str | None, upstream: Upstream) -> HttpRequest:
        batch = {
            "input_files": [file_id],
            "model": order.model,
            "endpoint": order.path,
            "metadata": {MARKER: order.marker},
            "timeout_hours": 24,
        }
        url = f"{upstream.base_url}{self.path}"
        return HttpRequest(url, build_headers(upstream), orjson.dumps(batch))

    def listing(self, after: str | None, upstream: Upstream) -> HttpRequest:
        url = f"{upstream.base_url}{self.path}?page={after or 0}&page_size={PAGE_SIZE}"
        return HttpRequest(url, build_headers(upstream), b"", "GET")

    def page(self, body: bytes) -> ProviderBatchPage:
        listed = parse_object(body)
        found = objects(listed.get("data"))
        # the answer does not repeat the number of its page, so only the first page is read
        return ProviderBatchPage([_listed_job(each) for each in found])

    def progress(self, body: bytes) -> BatchProgress:
        job = parse_object(body)
        status = text(job, "status")
        reason = _describe_end(status, objects(job.get("errors")))
        return BatchProgress(
            ended=status not in WAITS,
            completed=job.get("succeeded_requests") or 0,
            failed=job.get("failed_requests") or 0,
            files=[file for name in ("output_file", "error_file") if (file := job.get(name))],
            failure_reason=None if status == "SUCCESS" else reason,
        )


def _listed_job(job: Json) -> ListedBatch:
    marker = (job.get("metadata") or {}).get(MARKER)
    return ListedBatch(
        text(job, "id"), marker, float(job.get("created_at") or 0), job.get("total_requests") or 0
    )
