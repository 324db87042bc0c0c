"""Results of a batch inside the batch: a page while it runs, or all of them after its end."""

import functools
from collections.abc import Iterator
from typing import Any

import orjson

from api.core.services import Services
from broker.batches import Assembler, BatchReport, reports
from broker.batches.results import result
from broker.batches.view import batch as view
from broker.clock import now_ms
from broker.completion import Json

SETTLING_MS = 5_000
"""The time in milliseconds after which every process sees a job's end, despite clock skew."""


async def render_page(
    services: Services, found: BatchReport, after: int, limit: int, ended_after: int | None
) -> Json:
    """Render a batch with the results of at most `limit` lines after the line `after`.

    `ended_after` (Unix ms) leaves out the lines that ended before. A later request for new results
    sets it to the `complete_until` of this answer.
    """
    now = now_ms()
    read = functools.partial(reports.lines, ended_after=ended_after)
    lines = await services.database.read(read, found.row.id, after, limit + 1)
    url = services.settings.public_url
    return view(found) | {
        "results": [result(found.row, line, url) for line in lines[:limit]],
        "has_more": len(lines) > limit,
        "last_line": lines[:limit][-1].number if lines else after,
        "complete_until": (now - SETTLING_MS) / 1000,
    }


def render_whole(services: Services, found: BatchReport) -> Iterator[bytes]:
    """Yield the JSON of a batch with all its results, as they are read. Blocking."""
    shown = view(found)
    del shown["results"]
    assembler = Assembler(services.database, services.files, services.settings.public_url)
    yield orjson.dumps(shown)[:-1] + b',"results":['
    comma = b""
    for each in assembler.results(found.row):
        yield comma + orjson.dumps(render_inline(each))
        comma = b","
    yield b"]}"


def render_inline(shown: Json) -> Json:
    """Return a result of OpenAI's files in OpenRouter's form: an error has no `response`.

    OpenAI's files have the error in the body of the response, in the dialect of the line.
    """
    response = shown["response"]
    error = shown["error"] if response is None else _find_error(response["body"])
    if error is None:
        return shown
    metadata = error.get("metadata") or {}
    error_type = metadata.get("error_type") or error.get("error_type")
    code = error["code"] if "code" in error else response["status_code"]
    inline = {
        "message": error["message"],
        "type": error_type or str(code),
        "param": error.get("param"),
        "code": code,
        "metadata": metadata,
    }
    if error_type:
        inline["error_type"] = error_type
    return {**shown, "response": None, "error": inline}


def _find_error(body: Any) -> Json | None:
    """Return the error in the body of an answer; a response that has none says `error: null`."""
    error: Json | None = body.get("error") if isinstance(body, dict) else None
    return error
