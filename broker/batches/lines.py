"""One line of a batch's input: `{custom_id, method, url, body}`. Pure.

Source: OpenAI's Batch API guide. The OpenRouter form has neither `method` nor `url`.
"""

import hashlib
from dataclasses import dataclass

import orjson

from broker.batches.vocabulary import MAX_CUSTOM_ID, OPERATIONS, Options
from broker.completion import Json
from broker.requests import whole_numbers
from broker.requests.operations import Operation

NOT_STREAMED = frozenset({"stream", "stream_options"})


class LineError(Exception):
    """A line that cannot become a job, and why; `code` is OpenAI's word where it has one."""

    def __init__(
        self, code: str, message: str, param: str | None = None, custom_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.custom_id = custom_id


@dataclass(frozen=True, slots=True)
class Line:
    """A line, understood as far as one can without knowing the models."""

    custom_id: str
    operation: Operation | None  # None: the batch's
    body: Json


def read(raw: bytes) -> Line:
    """Understand a line. Raises LineError."""
    try:
        value = whole_numbers.loads(raw)
    except orjson.JSONDecodeError as error:
        raise LineError("invalid_json_line", f"This line is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise LineError("invalid_json_line", "This line is not a JSON object.")
    custom_id = _custom_id(value.get("custom_id"))
    body = value.get("body")
    if not isinstance(body, dict):
        raise LineError(
            "missing_required_parameter", "body: an object is needed.", "body", custom_id
        )
    if value.get("method", "POST") != "POST":
        raise LineError("invalid_method", "method: only POST.", "method", custom_id)
    return Line(custom_id, _operation(value.get("url"), custom_id), body)


def _custom_id(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CUSTOM_ID or "\0" in value:
        raise LineError(
            "missing_required_parameter",
            f"custom_id: a string of 1 to {MAX_CUSTOM_ID} characters is needed.",
            "custom_id",
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise LineError("invalid_value", "custom_id: not Unicode text.", "custom_id") from None
    return value


def operation_of(url: object) -> Operation | None:
    """Return the operation that a URL names, with or without `/api` before it; None for others."""
    path = str(url).removeprefix("/api")
    return next((each for each in OPERATIONS if each.value == path), None)


def _operation(url: object, custom_id: str) -> Operation | None:
    if url is None:
        return None
    operation = operation_of(url)
    if operation is None:
        known = ", ".join(each.value for each in OPERATIONS)
        raise LineError("invalid_url", f"url: {url!r} is none of {known}.", "url", custom_id)
    return operation


def completed_body(own: Json, options: Options) -> Json:
    """Return a line's body with what the batch says for lines that do not say it themselves.

    An answer that goes into a file is never streamed.
    """
    body = {name: value for name, value in own.items() if name not in NOT_STREAMED}
    if options.model is not None and not body.get("model") and not body.get("models"):
        body["model"] = options.model
    if options.provider is not None:
        body.setdefault("provider", options.provider)
    if options.service_tier is not None:
        body.setdefault("service_tier", options.service_tier)
    return body


def digest(operation: Operation, body: Json) -> str:
    """Tell lines that ask for the same from others."""
    canonical = orjson.dumps([operation.value, body], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()
