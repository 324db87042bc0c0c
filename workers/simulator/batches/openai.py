"""OpenAI's files and batches, as bodies."""

from typing import Any
from uuid import uuid4

import orjson

from workers.simulator.batches.store import Done, Line, SimulatedBatch, Store
from workers.simulator.behaviour import BatchFate
from workers.simulator.counters import Counters
from workers.simulator.http import form, json_object
from workers.simulator.model_calls import WIRES
from workers.simulator.wire import Head, invalid

Object = dict[str, Any]
WINDOW_SECONDS = 86_400


def upload(head: Head, body: bytes, store: Store) -> Object:
    sent = form(head.header(b"content-type"), body)
    file = sent.upload("file")
    if file is None or not sent.fields.get("purpose"):
        raise invalid("Missing required parameter: 'file' and 'purpose'")
    return file_object(store.add_file(file.data), file.name, len(file.data))


def file_object(file_id: str, name: str, size: int) -> Object:
    facts = {"id": file_id, "object": "file", "bytes": size, "created_at": 0}
    return facts | {"filename": name, "purpose": "batch", "status": "processed"}


def create(head: Head, body: bytes, store: Store) -> SimulatedBatch:
    call = json_object(body)
    content = store.files.get(str(call.get("input_file_id")))
    if content is None:
        raise invalid("No such File object")
    lines = [_line(each) for each in content.splitlines() if each.strip()]
    if not lines:
        raise invalid("The batch input file is empty")
    return store.add("batch_", lines, head, call)


def _line(raw: bytes) -> Line:
    line = json_object(raw)
    wire = WIRES.get(str(line.get("url")))
    if wire is None or line.get("method") != "POST":
        raise invalid(f"Invalid line: {line.get('method')} {line.get('url')}")
    body = line["body"]
    return Line(line["custom_id"], orjson.dumps(body), wire, str(body.get("model")))


def show(batch: SimulatedBatch, store: Store, counters: Counters) -> Object:
    """Return the current batch. Create the files of an ended one."""
    body: Object = {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.about["endpoint"],
        "input_file_id": batch.about["input_file_id"],
        "completion_window": batch.about["completion_window"],
        "metadata": batch.about.get("metadata"),
        "created_at": int(batch.created_at),
        "expires_at": int(batch.created_at) + WINDOW_SECONDS,
        "status": "in_progress",
        "errors": None,
        "output_file_id": None,
        "error_file_id": None,
        "request_counts": {"total": len(batch.lines), "completed": 0, "failed": 0},
    }
    if _lacks_quota(batch, store):
        return body | {"status": "failed", "errors": {"object": "list", "data": [QUOTA]}}
    return body | _end(batch, store, counters) if batch.is_over else body


QUOTA: Object = {
    "code": "token_limit_exceeded",
    "message": "Enqueued token limit reached for this model.",
    "line": None,
    "param": None,
}


def _lacks_quota(batch: SimulatedBatch, store: Store) -> bool:
    """Refuse the first batch of a model with this behaviour, and no later one."""
    if batch.fate is not BatchFate.QUOTA:
        return False
    return next(iter(store.batches)) == batch.id


def _end(batch: SimulatedBatch, store: Store, counters: Counters) -> Object:
    done = batch.done(counters)
    good = [each for each in done if each.status == 200]  # noqa: PLR2004
    bad = [each for each in done if each.status != 200]  # noqa: PLR2004
    code = "batch_cancelled" if batch.cancelled_at else "batch_expired"
    if batch.fate is BatchFate.NO_FILE and batch.cancelled_at is None:
        counts = {"total": len(done), "completed": len(good), "failed": len(bad)}
        return {"status": "completed", "request_counts": counts}
    return {
        "status": _status(batch),
        "output_file_id": _file(f"out-{batch.id}", good, code, store),
        "error_file_id": _file(f"err-{batch.id}", bad, code, store),
        "request_counts": {"total": len(done), "completed": len(good), "failed": len(bad)},
    }


def _status(batch: SimulatedBatch) -> str:
    if batch.cancelled_at is not None:
        return "cancelled"
    return "expired" if batch.fate is BatchFate.EXPIRE else "completed"


def _file(file_id: str, done: list[Done], code: str, store: Store) -> str | None:
    if not done:
        return None
    store.files[file_id] = b"\n".join(orjson.dumps(_result(each, code)) for each in done)
    return file_id


def _result(done: Done, code: str) -> Object:
    result: Object = {"id": f"batch_req_{uuid4().hex}", "custom_id": done.line.custom_id}
    if not done.status:
        error = {"code": code, "message": "This request was not executed in time."}
        return result | {"response": None, "error": error}
    response = {"status_code": done.status, "request_id": uuid4().hex}
    return result | {"response": response | {"body": orjson.loads(done.body)}, "error": None}
