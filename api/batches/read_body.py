"""Read the body of POST /batches as it arrives: `requests` go to a file, the rest is returned.

The fields may be in any order, because the lines are checked only when the batch is processed.
"""

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import ijson
import orjson
from ijson.common import IncompleteJSONError, JSONError, ObjectBuilder
from starlette.requests import Request

from api.core import headers
from broker.completion import Json
from broker.errors import InvalidRequestError, PayloadTooLargeError

REQUESTS = "requests"
FRAME_BYTES = 50_000_000
"""The most bytes of a body besides its requests: white space and other fields."""


async def read_batch_body(request: Request, write: Callable[[bytes], None], most: int) -> Json:
    """Return the fields of a body; write each of its `requests` as a line of JSON.

    Raises InvalidRequestError for a body that is no JSON object, and PayloadTooLargeError.
    """
    headers.refuse_encoded(request)
    fields: Json = {}
    feeder = ijson.basic_parse_coro(_read_fields(fields, write), use_float=True)
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > most + FRAME_BYTES:
                raise PayloadTooLargeError(f"A batch takes {most:,} bytes: split it.", param="body")
            if piece:
                await asyncio.to_thread(feeder.send, piece)
        await asyncio.to_thread(feeder.close)
    except (JSONError, IncompleteJSONError, UnicodeDecodeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InvalidRequestError(f"The body is not JSON: {reason}.", param="body") from None
    return fields


@ijson.coroutine  # type: ignore[untyped-decorator]
def _read_fields(
    fields: Json, write: Callable[[bytes], None]
) -> Generator[None, tuple[str, Any], None]:
    """Consume the events of the parser: one field of the object, or one request, at a time."""
    event, _ = yield
    if event != "start_map":
        raise InvalidRequestError("The body must be a JSON object.", param="body")
    while True:
        event, name = yield
        if event == "end_map":
            break
        event, value = yield
        if name != REQUESTS:
            fields[name] = yield from _build_value(event, value)
            continue
        if event != "start_array":
            raise InvalidRequestError("requests: must be a list.", param=REQUESTS)
        fields[REQUESTS] = True
        while True:
            event, value = yield
            if event == "end_array":
                break
            line = yield from _build_value(event, value)
            write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    while True:
        yield


def _build_value(event: str, value: Any) -> Generator[None, tuple[str, Any], Any]:
    """Return the value that begins with this event."""
    builder = ObjectBuilder()
    builder.event(event, value)
    depth = _depth_change(event)
    while depth:
        event, value = yield
        builder.event(event, value)
        depth += _depth_change(event)
    return builder.value


def _depth_change(event: str) -> int:
    if event.startswith("start_"):
        return 1
    return -1 if event.startswith("end_") else 0
