"""One call to a provider: the only place that sends what an adapter built.

Every way it can end becomes a Failure or the answer; nothing is retried here. What matters most is
telling whether the request left: only one that did not may be sent again without the risk of a
second bill.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache

import aiohttp
import httpx
import structlog
from httpx_aiohttp import AiohttpTransport

from broker.completion import (
    AttemptOutcome,
    Chunk,
    Completion,
    CompletionRequest,
    Document,
    ErrorType,
    Failure,
)
from broker.settings import Settings
from workers.adapters.base import (
    Adapter,
    HttpRequest,
    MalformedAnswerError,
    ProviderFailureError,
    Upstream,
)
from workers.assembly import Assembly
from workers.operations.base import OperationAdapter
from workers.sending import ReportingRequest, reporting

MAX_ERROR_BYTES = 64 * 1024

CARRIED = {"accept-encoding": "gzip, deflate", "user-agent": "Waybill"}
"""Headers of every request, unless an adapter or a provider's row says otherwise."""

log = structlog.get_logger()

NEVER_LEFT = (
    aiohttp.ClientConnectorError,  # refused, no route, DNS, TLS handshake
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    httpx.InvalidURL,
    httpx.UnsupportedProtocol,
)

MISSHAPEN = (TypeError, ValueError, LookupError, AttributeError)
"""What a translator raises over a shape that nobody foresaw."""


class AnswerTooLargeError(Exception):
    """The provider sent more than we are willing to hold."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long to wait, in seconds: for the first byte, between bytes, and in all."""

    first_byte: float
    idle: float
    total: float


class Stopwatch:
    """Measures one call and ends it when a deadline passes."""

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._began = time.monotonic()
        self._timeout = asyncio.timeout(min(deadlines.first_byte, deadlines.total))
        self.first_token_ms: int | None = None
        self.sent = False  # from then on the provider may bill

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Raise TimeoutError inside the block when a deadline passes."""
        with reporting(self._left):
            async with self._timeout:
                yield

    def _left(self) -> None:
        self.sent = True

    def byte(self) -> None:
        """Bytes arrived: the next ones are due within the idle gap."""
        loop = asyncio.get_running_loop()
        left = self._deadlines.total - (time.monotonic() - self._began)
        self._timeout.reschedule(loop.time() + min(self._deadlines.idle, left))

    def token(self) -> None:
        """A chunk with content arrived."""
        if self.first_token_ms is None:
            self.first_token_ms = self.elapsed_ms()

    def elapsed_ms(self) -> int:
        return int((time.monotonic() - self._began) * 1000)


class Wire:
    """The worker's way to providers: an httpx transport, and a client around it for rare calls.

    Completions go by the transport itself: what a client adds (cookies, redirects, merged
    defaults) no provider's call needs, and it costs as much as all else that is sent. The transport
    is aiohttp's, whose pool stays fast when it is large.
    """

    def __init__(self, settings: Settings) -> None:
        self._timeout = httpx.Timeout(None, connect=settings.connect_timeout_seconds)
        self._most = settings.worker_concurrency + 64
        self._transport = AiohttpTransport(client=self._session)
        self.client = httpx.AsyncClient(
            transport=self._transport,
            timeout=self._timeout,
            follow_redirects=False,
            trust_env=False,
        )

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._most, keepalive_timeout=60, ssl=httpx.create_ssl_context(trust_env=False)
        )
        # one caller's cookies are not another's
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=ReportingRequest,
        )

    @asynccontextmanager
    async def sent(self, built: HttpRequest) -> AsyncIterator[httpx.Response]:
        """Send a request; the response's body is yet to be read. Raises httpx.HTTPError."""
        request = httpx.Request(
            built.method,
            _url(built.url),
            headers={**CARRIED, **built.headers},
            content=built.body,
            extensions={"timeout": self._timeout.as_dict()},
        )
        response = await self._transport.handle_async_request(request)
        try:
            yield response
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        await self.client.aclose()


_url = lru_cache(maxsize=4_096)(httpx.URL)


async def call(
    wire: Wire,
    adapter: Adapter | OperationAdapter,
    request: CompletionRequest,
    upstream: Upstream,
    watch: Stopwatch,
    *,
    max_bytes: int,
    on_headers: Callable[[Mapping[str, str]], None],
    assembly: Assembly,
) -> Completion | Document | Failure:
    """Send `request`, return the whole answer; a stream's grows in `assembly` as it comes."""
    built = build(adapter, request, upstream)
    if isinstance(built, Failure):
        return built
    try:
        async with watch.running(), wire.sent(built) as response:
            on_headers(response.headers)
            return await _read_answer(response, adapter, request, watch, max_bytes, assembly)
    except TimeoutError:
        return _late(upstream, watch)
    except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError) as error:
        return _transport_failure(upstream, error, sent=watch.sent)
    except ProviderFailureError as error:
        return error.failure
    except MalformedAnswerError as error:
        return _unknown(
            ErrorType.PROVIDER_UNAVAILABLE, f"{upstream.slug} sent an answer we cannot use: {error}"
        )
    except MISSHAPEN:
        if not watch.sent:
            log.exception("upstream.unwritable", provider=upstream.slug)
            return _unwritable(upstream)
        # an answer of a shape that its translator did not foresee is the provider's failure
        log.exception("upstream.misshapen_answer", provider=upstream.slug)
        return _unknown(
            ErrorType.PROVIDER_UNAVAILABLE, f"{upstream.slug} sent an answer of an unknown shape."
        )
    except AnswerTooLargeError:
        return _unknown(
            ErrorType.PROVIDER_UNAVAILABLE,
            f"{upstream.slug} sent an answer of more than {max_bytes} bytes.",
        )


def build(
    adapter: Adapter | OperationAdapter, request: CompletionRequest, upstream: Upstream
) -> HttpRequest | Failure:
    """Translate the request; what cannot be translated was never sent."""
    try:
        return adapter.request(request, upstream)
    except ProviderFailureError as error:
        return error.failure
    except MISSHAPEN as error:
        log.exception("upstream.untranslatable", provider=upstream.slug)
        message = f"The request cannot be put into {upstream.slug}'s terms: {error}"
        return Failure(AttemptOutcome.NOT_SENT, ErrorType.INVALID_REQUEST, message[:500])


async def _read_answer(
    response: httpx.Response,
    adapter: Adapter | OperationAdapter,
    request: CompletionRequest,
    watch: Stopwatch,
    max_bytes: int,
    assembly: Assembly,
) -> Completion | Document | Failure:
    watch.byte()
    if not response.is_success:
        body = await _read(response, watch, MAX_ERROR_BYTES, cut=True)
        return adapter.error(response.status_code, response.headers, body)
    if not request.stream:
        return adapter.answer(await _read(response, watch, max_bytes), request)
    return await _stream(response, adapter, request, watch, max_bytes, assembly)


async def _read(
    response: httpx.Response, watch: Stopwatch, most: int, *, cut: bool = False
) -> bytes:
    """Read a body of at most `most` bytes; a longer one is cut or refused."""
    pieces = []
    size = 0
    async for piece in response.aiter_bytes():
        watch.byte()
        pieces.append(piece)
        size += len(piece)
        if size > most:
            if cut:
                break
            raise AnswerTooLargeError
    return b"".join(pieces)[:most]


async def _stream(
    response: httpx.Response,
    adapter: Adapter | OperationAdapter,
    request: CompletionRequest,
    watch: Stopwatch,
    most: int,
    assembly: Assembly,
) -> Completion:
    reader = adapter.reader(request)
    size = 0

    def take(chunks: list[Chunk]) -> None:
        for chunk in chunks:
            if chunk.choices:
                watch.token()
            assembly.add(chunk)

    async for piece in response.aiter_bytes():
        watch.byte()
        size += len(piece)
        if size > most:
            raise AnswerTooLargeError
        take(reader.feed(piece))
    take(reader.close())
    return assembly.completion()


def _unknown(error_type: ErrorType, message: str) -> Failure:
    return Failure(AttemptOutcome.UNKNOWN, error_type, message)


def _late(upstream: Upstream, watch: Stopwatch) -> Failure:
    """Return the failure of a call whose time was up."""
    if watch.sent:
        message = f"{upstream.slug} fell silent after {watch.elapsed_ms()} ms."
        return _unknown(ErrorType.TIMEOUT, message)
    message = f"{upstream.slug} could not be reached within {watch.elapsed_ms()} ms."
    return Failure(AttemptOutcome.NOT_SENT, ErrorType.TIMEOUT, message)


def _unwritable(upstream: Upstream) -> Failure:
    """Return the failure of a request whose head cannot be written. It never repeats the error.

    The error of the HTTP client quotes the header, which may be the one with the key.
    """
    message = (
        f"The request to {upstream.slug} cannot be written: a header or the address holds a "
        "character that HTTP does not allow. Check its api_key, headers and base_url."
    )
    return Failure(AttemptOutcome.NOT_SENT, ErrorType.AUTHENTICATION, message)


def _transport_failure(upstream: Upstream, error: Exception, *, sent: bool) -> Failure:
    """Tell a request that never left from one that may have been served.

    The transport maps several aiohttp errors to one httpx error (a dropped connection and a failed
    connect both become ConnectTimeout), so the cause decides.
    """
    cause = error.__cause__ or error
    never_left = not sent or isinstance(cause, NEVER_LEFT)
    outcome = AttemptOutcome.NOT_SENT if never_left else AttemptOutcome.UNKNOWN
    what = "could not be reached" if never_left else "dropped the connection"
    detail = str(cause) or type(cause).__name__
    return Failure(
        outcome, ErrorType.PROVIDER_UNAVAILABLE, f"{upstream.slug} {what}: {detail}"[:500]
    )
