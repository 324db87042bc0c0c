"""Calls to a batch API, which distinguish refusals from calls that may have been accepted."""

import asyncio
from collections.abc import AsyncIterator, Collection

import aiohttp
import httpx

from broker.completion import Failure
from broker.native_batches import NativeBatchRow
from broker.security.redaction import redact
from workers.adapters.base import HttpRequest, Upstream
from workers.adapters.errors import read_error
from workers.native_batches.base import BatchApi, ListedBatch
from workers.upstream.connection import NEVER_LEFT, report_sent

CALL_SECONDS = 240.0  # one call and its whole answer
MAX_BODY_BYTES = 64_000_000
MAX_ERROR_BYTES = 64 * 1024
_OK = range(200, 300)
_REFUSED = range(400, 500)


class RefusedCallError(Exception):
    """The provider refused the call or was not reached. Nothing was accepted."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class UnconfirmedCallError(Exception):
    """The call was sent and not confirmed. Perhaps it was accepted."""


async def fetch(http: httpx.AsyncClient, call: HttpRequest) -> bytes:
    """Return the body of a 2xx answer. Raises RefusedCallError or UnconfirmedCallError."""
    body = bytearray()
    async for piece in _pieces(http, call):
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise UnconfirmedCallError(f"an answer of more than {MAX_BODY_BYTES} bytes")
    return bytes(body)


async def lines(
    http: httpx.AsyncClient, call: HttpRequest, *, max_bytes: int
) -> AsyncIterator[bytes]:
    """Yield the lines of a 2xx answer, never holding more than one of them whole."""
    rest = bytearray()
    async for piece in _pieces(http, call):
        *whole, last = piece.split(b"\n")
        for line in whole:
            rest += line
            if rest.strip():
                yield bytes(rest)
            rest = bytearray()
        rest += last
        if len(rest) > max_bytes:
            raise UnconfirmedCallError(f"a line of more than {max_bytes} bytes")
    if rest.strip():
        yield bytes(rest)


async def _pieces(http: httpx.AsyncClient, call: HttpRequest) -> AsyncIterator[bytes]:
    try:
        async with asyncio.timeout(CALL_SECONDS):
            response = await _open(http, call)
            try:
                if response.status_code not in _OK:
                    raise _refusal(response.status_code, response.headers, await _cut(response))
                async for piece in response.aiter_bytes():
                    yield piece
            finally:
                await response.aclose()
    except TimeoutError:
        raise UnconfirmedCallError(f"no answer within {CALL_SECONDS:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, (*NEVER_LEFT, httpx.InvalidURL, httpx.UnsupportedProtocol)):
            raise RefusedCallError(read_error(503, {}, str(cause).encode())) from None
        raise UnconfirmedCallError(redact(str(cause)) or type(cause).__name__) from None


async def _cut(response: httpx.Response) -> bytes:
    """Return the beginning of an error's body."""
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) >= MAX_ERROR_BYTES:
            break
    return bytes(body[:MAX_ERROR_BYTES])


async def _open(http: httpx.AsyncClient, call: HttpRequest) -> httpx.Response:
    """Send a request; its answer's body is yet to be read."""
    sent = asyncio.Event()
    try:
        with report_sent(sent.set):
            request = http.build_request(
                call.method, call.url, headers=call.headers, content=call.body
            )
            return await http.send(request, stream=True)
    except (TypeError, ValueError):
        if sent.is_set():
            raise
        # the error may quote a header, so it is not repeated
        raise RefusedCallError(
            read_error(400, {}, b"The request's head cannot be written.")
        ) from None


def _refusal(status: int, headers: httpx.Headers, body: bytes) -> Exception:
    """Distinguish a refusal (4xx) from an unconfirmed creation (5xx, perhaps from a proxy)."""
    failure = read_error(status, headers, body)
    if status in _REFUSED:
        return RefusedCallError(failure)
    return UnconfirmedCallError(failure.message)


PAGES = 20
CLOCK_SKEW_SECONDS = 120


async def find_batches(
    http: httpx.AsyncClient,
    api: BatchApi,
    upstream: Upstream,
    row: NativeBatchRow,
    others: Collection[str],
) -> list[ListedBatch]:
    """Return the provider's batches that were created for this row, oldest first.

    There should be one at most. `others` are the provider's ids of all other batches on record. If
    the API keeps no marker, the only batch of that time and size is returned, and none if there are
    several. Its results are matched by job id before anything is booked.
    """
    since = (row.create_sent_at or row.created_at) / 1000 - CLOCK_SKEW_SECONDS
    found: list[ListedBatch] = []
    after: str | None = None
    for _ in range(PAGES):
        page = api.page(await fetch(http, api.listing(after, upstream)))
        recent = [each for each in page.batches if each.created_at >= since]
        found += [each for each in recent if each.id not in others and _is(each, api, row)]
        after = page.after
        if after is None or (page.batches and not recent):
            break
    if not api.marks and len(found) > 1:
        return []
    return sorted(found, key=lambda each: each.created_at)


def _is(listed: ListedBatch, api: BatchApi, row: NativeBatchRow) -> bool:
    return bool(listed.marker == row.id if api.marks else listed.lines == row.lines)
