"""Mistral's batch jobs: https://docs.mistral.ai/capabilities/batch, and its API reference."""

import orjson

from broker.completion import Json
from broker.operations import Operation
from workers.adapters.base import HttpRequest, Upstream
from workers.adapters.json_shapes import parse_object
from workers.adapters.openai.address import request_headers
from workers.native_batches.base import BatchOrder, BatchPage, BatchProgress, ListedBatch, text
from workers.native_batches.jsonl_files import MARKER, JsonlFiles, objects

PAGE_SIZE = 100
WAITS = frozenset({"QUEUED", "RUNNING", "CANCELLATION_REQUESTED"})


class MistralBatches(JsonlFiles):
    """See `BatchApi`. The model is named once, for the whole job."""

    name = "mistral"
    max_bytes = 190_000_000
    path = "/batch/jobs"

    def line(self, custom_id: str, operation: Operation, body: bytes) -> bytes:  # noqa: ARG002
        asked = parse_object(body)
        asked.pop("model", None)
        return orjson.dumps({"custom_id": custom_id, "body": asked})

    def create(self, order: BatchOrder, file_id: str | None, upstream: Upstream) -> HttpRequest:
        wanted = {
            "input_files": [file_id],
            "model": order.model,
            "endpoint": order.operation.value,
            "metadata": {MARKER: order.marker},
            "timeout_hours": 24,
        }
        url = f"{upstream.base_url}{self.path}"
        return HttpRequest(url, request_headers(upstream), orjson.dumps(wanted))

    def listing(self, after: str | None, upstream: Upstream) -> HttpRequest:
        url = f"{upstream.base_url}{self.path}?page={after or 0}&page_size={PAGE_SIZE}"
        return HttpRequest(url, request_headers(upstream), b"", "GET")

    def page(self, body: bytes) -> BatchPage:
        listed = parse_object(body)
        found = objects(listed.get("data"))
        # pages have numbers, which its answer does not repeat: one page is a hundred jobs back
        return BatchPage([_listed(each) for each in found])

    def progress(self, body: bytes) -> BatchProgress:
        job = parse_object(body)
        status = text(job, "status")
        told = "; ".join(str(each.get("message")) for each in objects(job.get("errors"))[:3])
        why = f"The provider's batch ended as {status}{': ' if told else ''}{told}."
        return BatchProgress(
            ended=status not in WAITS,
            completed=job.get("succeeded_requests") or 0,
            failed=job.get("failed_requests") or 0,
            files=[place for name in ("output_file", "error_file") if (place := job.get(name))],
            why_not=None if status == "SUCCESS" else why,
        )


def _listed(job: Json) -> ListedBatch:
    marker = (job.get("metadata") or {}).get(MARKER)
    return ListedBatch(
        text(job, "id"), marker, float(job.get("created_at") or 0), job.get("total_requests") or 0
    )
