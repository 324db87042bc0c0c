"""A line's result in OpenAI's form, and the failed lines for another batch. Pure."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import orjson

from broker.batches.options import line_stop_message
from broker.batches.rows import BatchRow, LineRow
from broker.completion import ErrorType, Json
from broker.dialects.base import DialectJob
from broker.dialects.errors import ApiError, build_error
from broker.dialects.translation import TRANSLATORS
from broker.enums import Dialect, JobState, StopReason
from broker.jobs.error_envelope import describe_job_failure
from broker.presets.merging import MARK
from broker.requests.operations import PICTURES, Operation

CONTENT_URL = "/api/v1/files/{file_id}/content"
OK = 200


def result(batch: BatchRow, line: LineRow, public_url: str) -> Json:
    """Return the result of a line that has ended (a row of `reports.lines`)."""
    if line.refusal is not None:
        return _result(batch, line, _refused(orjson.loads(line.refusal)))
    if line.state is JobState.COMPLETED:
        return _result(batch, line, _response(OK, line.job_id, _answer(line, public_url)))
    if line.state in {JobState.CANCELLED, JobState.EXPIRED}:
        return not_run(batch.id, line.number, line.custom_id, _reason(batch, line.state))
    error = None if line.error is None else orjson.loads(line.error)
    status, message, metadata = describe_job_failure({"status": line.state, "error": error})
    body = build_error(ApiError(status, message, metadata), line.dialect)
    return _result(batch, line, _response(status, line.job_id, body))


def _refused(stored: Json) -> Json:
    """Return the response to a line that became no job (`line_submission.encode_refusal`)."""
    status, error, dialect = stored["status"], stored["error"], stored.get("dialect")
    if dialect is None:
        return _response(status, None, {"error": error})
    said = ApiError(status, error["message"], error["metadata"], error.get("param"))
    return _response(status, None, build_error(said, Dialect(dialect)))


def not_run(batch_id: str, number: int, custom_id: str | None, reason: StopReason) -> Json:
    """Return the result of a line that never began, or was called off."""
    return {
        "id": _id(batch_id, number),
        "custom_id": custom_id,
        "response": None,
        "error": {"code": f"batch_{reason.value}", "message": line_stop_message(reason)},
    }


DELETED = ApiError(410, "This answer is no longer kept.", {"error_type": ErrorType.GONE.value})


def is_good(shown: Json) -> bool:
    """Return whether a result belongs into the output file; others belong into the error file."""
    return shown["response"] is not None and shown["response"]["status_code"] == OK


def _reason(batch: BatchRow, state: JobState | None) -> StopReason:
    if batch.stop_reason is not None:
        return batch.stop_reason
    return StopReason.EXPIRED if state is JobState.EXPIRED else StopReason.CANCELLED


def _result(batch: BatchRow, line: LineRow, response: Json) -> Json:
    return {
        "id": _id(batch.id, line.number),
        "custom_id": line.custom_id,
        "response": response,
        "error": None,
    }


def _id(batch_id: str, number: int) -> str:
    return f"batch_req_{batch_id.removeprefix('batch_')}_{number}"


def _response(status: int, request_id: str | None, body: Any) -> Json:
    return {"status_code": status, "request_id": request_id, "body": body}


WITH_FILES = PICTURES | {Operation.SPEECH}
"""Operations whose answers name stored files."""


def _answer(line: LineRow, public_url: str) -> Any:
    """Return an answer's body; pictures and sound as addresses that the workspace's key opens."""
    if line.response is None:
        return build_error(DELETED, line.dialect)
    if line.dialect is not None:
        return _render_in_dialect(line, line.dialect, line.response)
    if line.operation not in WITH_FILES:
        return orjson.Fragment(line.response)
    body: Json = orjson.loads(line.response)
    body.pop("response_format", None)
    for entry in (body, *body.get("data", ())):
        if "file_id" in entry:
            path = CONTENT_URL.format(file_id=entry["file_id"])
            entry["url"] = public_url.rstrip("/") + path
    return body


def _render_in_dialect(line: LineRow, dialect: Dialect, response: bytes) -> Any:
    """Return an answer in the dialect of its line, if the dialect has lines."""
    translator = TRANSLATORS.get(dialect)
    if translator is None:
        return orjson.Fragment(response)
    body = orjson.loads(line.caller_body) if line.caller_body else {}
    created, ended = (line.created_at or 0) // 1000, (line.ended_at or 0) // 1000
    job = DialectJob(line.job_id or "", line.model or "", created, body, ended)
    return translator.render(job, orjson.loads(response))


def failed_lines(
    lines: Iterable[tuple[bytes, int]], done: Collection[int], model: str | None
) -> Iterator[bytes]:
    """Yield the lines whose numbers are not among `done`; `model` replaces each one's own."""
    for number, (raw, _) in enumerate(lines, start=1):
        if number not in done:
            yield (raw if model is None else _with_model(raw, model)).rstrip(b"\r\n") + b"\n"


def _with_model(raw: bytes, model: str) -> bytes:
    try:
        line = orjson.loads(raw)
        line["body"] = _asking(model, line["body"])
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        return raw  # it fails again as it did
    return orjson.dumps(line)


def _asking(model: str, body: Json) -> Json:
    """Return a body that asks this model; the preset that its own named with it stays."""
    own = body.get("model")
    preset = own.partition(MARK)[2] if isinstance(own, str) else ""
    kept = {name: value for name, value in body.items() if name != "models"}
    return kept | {"model": f"{model}{MARK}{preset}" if preset else model}
