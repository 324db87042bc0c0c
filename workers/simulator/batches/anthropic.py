"""Anthropic's message batches, as bodies."""

from datetime import UTC, datetime
from typing import Any

import orjson

from workers.simulator.batches.store import Done, Line, SimulatedBatch, Store
from workers.simulator.counters import Counters
from workers.simulator.http import json_object
from workers.simulator.model_calls import ENDPOINTS
from workers.simulator.wire import Head, invalid

Object = dict[str, Any]
OK = 200


def create(head: Head, body: bytes, store: Store) -> SimulatedBatch:
    requests = json_object(body).get("requests")
    if not isinstance(requests, list) or not requests:
        raise invalid("requests: Field required")
    return store.add("msgbatch_", [_line(each) for each in requests], head, None)


def _line(request: Object) -> Line:
    if request["params"].get("stream"):
        raise invalid("requests: stream is not supported in batches")
    wire = ENDPOINTS["/messages"]
    return Line(
        request["custom_id"],
        orjson.dumps(request["params"]),
        wire,
        str(request["params"].get("model")),
    )


def show(batch: SimulatedBatch, counters: Counters) -> Object:
    """Return the current batch. All counts except `processing` stay 0 until its end."""
    ended = batch.is_over
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else "in_progress",
        "request_counts": _counts(batch, counters) if ended else _none_yet(batch),
        "created_at": datetime.fromtimestamp(batch.created_at, UTC).isoformat(),
        "results_url": f"/v1/messages/batches/{batch.id}/results" if ended else None,
    }


def results(batch: SimulatedBatch, counters: Counters) -> bytes:
    """Return a result on each line."""
    lines = [
        orjson.dumps({"custom_id": each.line.custom_id, "result": _result(batch, each)})
        for each in batch.done(counters)
    ]
    return b"\n".join(lines) + b"\n"


def _none_yet(batch: SimulatedBatch) -> Object:
    nothing = {"succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    return {"processing": len(batch.lines), **nothing}


def _counts(batch: SimulatedBatch, counters: Counters) -> Object:
    kinds = [_result(batch, each)["type"] for each in batch.done(counters)]
    names = ("succeeded", "errored", "canceled", "expired")
    return {"processing": 0} | {name: kinds.count(name) for name in names}


def _result(batch: SimulatedBatch, done: Done) -> Object:
    if not done.status:
        return {"type": "canceled" if batch.cancelled_at else "expired"}
    body = orjson.loads(done.body)
    if done.status == OK:
        return {"type": "succeeded", "message": body}
    return {"type": "errored", "error": body}
