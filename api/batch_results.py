"""Results of a batch inside the batch: a page while it runs, or all once it has ended."""

from collections.abc import Iterator

import orjson

from api.services import Services
from broker.batches import Assembler, BatchReport, Reader, reports
from broker.batches.results import result
from broker.batches.view import batch as view
from broker.completion import Json


async def page(services: Services, found: BatchReport, after: int, limit: int) -> Json:
    """Return a batch with those of its lines after this one that have ended."""
    lines = await services.database.read(reports.lines, found.row.id, after, limit + 1)
    url = services.settings.public_url
    return view(found) | {
        "results": [result(found.row, line, url) for line in lines[:limit]],
        "has_more": len(lines) > limit,
        "last_line": lines[:limit][-1].number if lines else after,
    }


def whole(services: Services, found: BatchReport) -> Iterator[bytes]:
    """Yield a batch with all its results, as they are read. Blocking."""
    shown = view(found)
    del shown["results"]
    reader = Reader(services.files, services.catalog, services.settings)
    assembler = Assembler(services.database, services.files, reader, services.settings.public_url)
    yield orjson.dumps(shown)[:-1] + b',"results":['
    comma = b""
    for each in assembler.results(found.row):
        yield comma + orjson.dumps(each)
        comma = b","
    yield b"]}"
