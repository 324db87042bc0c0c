"""One call to a provider: send the request that an adapter built, and read the answer.

A call returns the answer or a Failure, and is not retried here. A Failure states whether the
request was sent. Only a request that was not sent can be repeated without the risk of a second
charge.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache

import aiohttp
import httpx
import structlog
from httpx_aiohttp import AiohttpTransport
from yarl import URL

from broker.completion import (
    AttemptAnswer,
    AttemptOutcome,
    CompletionRequest,
    ErrorType,
    Failure,
    Usage,
)
from broker.settings import Settings
from workers.adapters.base import (
    Adapter,
    CutOffError,
    HttpRequest,
    MalformedAnswerError,
    ProviderFailureError,
    Upstream,
)
from workers.operations.base import JobAdapter, OperationAdapter
from workers.upstream.answer_body import AnswerTooLargeError, Stopwatch
from workers.upstream.connection import (
    HEADER_LIMIT,
    ReportingRequest,
    describe_failure,
    follow_exchange,
)
from workers.upstream.decompression import DecodingError, decompress
from workers.upstream.provider_call import SHAPE_ERRORS, ProviderCall, UnreadableError
from workers.upstream.provider_jobs import run_job
from workers.upstream.response import ProviderResponse

MOST_HEADERS = 1_000  # header lines of an answer

DEFAULT_HEADERS = {"accept-encoding": "gzip, deflate", "user-agent": "Waybill"}
"""Headers of every request, unless an adapter or a provider's row says otherwise."""

log = structlog.get_logger()


class _Transport(AiohttpTransport):
    """The transport, with bounded decompression of answers."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        try:
            decompress(response)
        except DecodingError:
            await response.aclose()
            raise
        return response


class ProviderClient:
    """The connections to providers, which all calls of a process share.

    Calls use aiohttp directly: httpx around it costs as much time as the rest of a call. Rare
    requests, of batches, use the httpx client over the same connections.
    """

    def __init__(self, settings: Settings) -> None:
        self._connect_seconds = settings.connect_timeout_seconds
        self._most = settings.worker_concurrency + 64
        self._timeout = aiohttp.ClientTimeout(sock_connect=self._connect_seconds)
        self._session: aiohttp.ClientSession | None = None  # opened on the loop, at the first call
        self.client = httpx.AsyncClient(
            transport=_Transport(client=self._get_session),
            timeout=httpx.Timeout(None, connect=self._connect_seconds),
            follow_redirects=False,
            trust_env=False,
        )

    def _get_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._open_session()
        return self._session

    def _open_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._most, keepalive_timeout=60, ssl=httpx.create_ssl_context(trust_env=False)
        )
        # callers must not share cookies
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=ReportingRequest,
            auto_decompress=False,
            timeout=self._timeout,
            max_line_size=HEADER_LIMIT,
            max_field_size=HEADER_LIMIT,
            max_headers=MOST_HEADERS,
        )

    @asynccontextmanager
    async def send(self, built: HttpRequest) -> AsyncIterator[ProviderResponse]:
        """Send a request. Yield the response with its body unread.

        Raises aiohttp.ClientError, OSError, and ValueError for a head that cannot be written.
        """
        headers = {**DEFAULT_HEADERS, **built.headers}
        _refuse_unwritable(headers)
        with follow_exchange() as exchange:
            async with self._get_session().request(
                built.method,
                _url(built.url),
                headers=headers,
                data=built.body or None,
                allow_redirects=False,
            ) as response:
                yield ProviderResponse(response)
                exchange.check()

    async def aclose(self) -> None:
        await self.client.aclose()
        if self._session is not None:
            await self._session.close()


_url = lru_cache(maxsize=4_096)(URL)


def _refuse_unwritable(headers: Mapping[str, str]) -> None:
    """Raise ValueError for a header that is not ASCII; aiohttp refuses control characters."""
    for name, value in headers.items():
        if not (name.isascii() and value.isascii()):
            raise ValueError(f"the header {name!r} is not ASCII")


async def call(made: ProviderCall) -> AttemptAnswer:
    """Send the request and return the whole answer. A streamed one also grows in its assembly.

    An answer in the background that was handed over is fetched; no request for another is sent.
    """
    upstream, watch = made.upstream, made.watch
    built = build_request(made.adapter, made.request, upstream)
    if isinstance(built, Failure):
        return built
    try:
        async with watch.running():
            if isinstance(made.adapter, JobAdapter):
                return await run_job(made, made.adapter, built)
            return await made.run(built)
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
            return _timeout_failure(upstream, watch)
        return _transport_failure(upstream, error, sent=watch.sent)
    except ProviderFailureError as error:
        return error.failure
    except CutOffError as error:
        return _unknown_failure(
            ErrorType.PROVIDER_UNAVAILABLE,
            f"{upstream.slug} sent an answer that is not complete: {error}.",
        )
    except UnreadableError as error:
        return _unreadable_failure(upstream, error.__cause__, error.usage)
    except SHAPE_ERRORS as error:
        if watch.sent:
            return _unreadable_failure(upstream, error, None)
        log.exception("upstream.unwritable", provider=upstream.slug)
        return _unwritable_failure(upstream)


def build_request(
    adapter: Adapter | OperationAdapter, request: CompletionRequest, upstream: Upstream
) -> HttpRequest | Failure:
    """Translate the request. Return a Failure where that is impossible."""
    try:
        return adapter.build_request(request, upstream)
    except ProviderFailureError as error:
        return error.failure
    except SHAPE_ERRORS as error:
        log.exception("upstream.untranslatable", provider=upstream.slug)
        message = f"The request cannot be translated for {upstream.slug}: {error}"
        return Failure(AttemptOutcome.NOT_SENT, ErrorType.INVALID_REQUEST, message[:500])


def _unreadable_failure(
    upstream: Upstream, error: BaseException | None, usage: Usage | None
) -> Failure:
    """Return the failure of an answer that is billed but cannot be used."""
    what = "an answer of an unknown shape"
    if isinstance(error, MalformedAnswerError):
        what = f"an answer we cannot use: {error}"
    elif isinstance(error, AnswerTooLargeError):
        what = f"an answer of {error}"
    else:
        log.error("upstream.misshapen_answer", provider=upstream.slug, exc_info=error)
    message = f"{upstream.slug} sent {what}."
    return Failure(
        AttemptOutcome.UNKNOWN,
        ErrorType.PROVIDER_UNAVAILABLE,
        message[:500],
        answered=True,
        usage=usage,
    )


def _unknown_failure(error_type: ErrorType, message: str) -> Failure:
    return Failure(AttemptOutcome.UNKNOWN, error_type, message)


def _timeout_failure(upstream: Upstream, watch: Stopwatch) -> Failure:
    """Return the failure of a call that timed out."""
    if watch.sent:
        message = f"{upstream.slug} fell silent after {watch.elapsed_ms()} ms."
        return _unknown_failure(ErrorType.TIMEOUT, message)
    message = f"{upstream.slug} could not be reached within {watch.elapsed_ms()} ms."
    return Failure(AttemptOutcome.NOT_SENT, ErrorType.TIMEOUT, message)


def _unwritable_failure(upstream: Upstream) -> Failure:
    """Return the failure of a request whose head cannot be written.

    It does not repeat the HTTP client's error, which quotes the header and so perhaps the key.
    """
    message = (
        f"The request to {upstream.slug} cannot be written: a header or the address holds a "
        "character that HTTP does not allow. Check its api_key, headers and base_url."
    )
    return Failure(AttemptOutcome.NOT_SENT, ErrorType.AUTHENTICATION, message)


def _transport_failure(upstream: Upstream, error: Exception, *, sent: bool) -> Failure:
    """Return the failure of a broken connection: NOT_SENT, or UNKNOWN where it was sent."""
    never_left, message = describe_failure(error, upstream.slug, sent=sent)
    outcome = AttemptOutcome.NOT_SENT if never_left else AttemptOutcome.UNKNOWN
    log.info("upstream.transport_error", provider=upstream.slug, error=repr(error)[:500])
    return Failure(outcome, ErrorType.PROVIDER_UNAVAILABLE, message[:500])
