"""httpx transport for addresses that callers choose.

It resolves a name once, checks every address, and connects only to these. So a DNS answer that
changes between the check and the connection (DNS rebinding) has no effect. The Host header, SNI and
the certificate check use the name. It follows no redirects and uses no proxies, cookies or
environment variables.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from ipaddress import ip_address

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport

from broker.security.egress import Address, Policy, parse
from workers.egress.bounds import BoundedStream, Bounds, enforce_deadline

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]

_checked: ContextVar[Sequence[Address]] = ContextVar("checked")
"""The addresses that this request may connect to. The resolver reads it in the same context."""


def create_guarded_client(
    policy: Policy,
    bounds: Bounds,
    *,
    verify: ssl.SSLContext | None = None,
    connections: int = 100,
) -> httpx.AsyncClient:
    """Return a client whose requests all pass the guard.

    Its requests raise RefusedError, httpx.TransportError and, within a body, TooLargeError.
    """
    transport = GuardedTransport(policy, bounds, verify=verify, connections=connections)
    return httpx.AsyncClient(  # the transport bounds the time
        transport=transport,
        follow_redirects=False,
        trust_env=False,
        timeout=None,  # noqa: S113  # the transport bounds the time
        headers={"accept-encoding": "identity"},
    )


def resolve(host: str, port: int) -> Sequence[Address]:
    """Resolve a name with the system's resolver, which blocks. Raises OSError where it fails."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(address[0]) for *_, address in found]


class GuardedTransport(httpx.AsyncBaseTransport):
    """See the module's docstring."""

    def __init__(
        self,
        policy: Policy,
        bounds: Bounds,
        *,
        verify: ssl.SSLContext | None = None,
        connections: int = 100,
        resolve: Resolve | None = None,
    ) -> None:
        self._policy = policy
        self._bounds = bounds
        self._resolve = resolve or self._ask
        # One thread for each connection: a DNS server that does not answer blocks its thread for
        # many seconds, and all of the process share asyncio's few threads.
        self._resolvers = ThreadPoolExecutor(connections, thread_name_prefix="resolver")
        self._connections = connections
        self._tls = verify or httpx.create_ssl_context(trust_env=False)
        self._inner = AiohttpTransport(verify=self._tls, trust_env=False, client=self._session)

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=_CheckedAddresses(),
            use_dns_cache=False,
            ssl=self._tls,
            limit=self._connections,
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        deadline = asyncio.get_running_loop().time() + self._bounds.seconds
        async with enforce_deadline(deadline, self._bounds):
            await self._check(str(request.url))
            response = await self._inner.handle_async_request(request)
        # The body is not decompressed, because it could become arbitrarily large.
        response.headers.pop("content-encoding", None)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = BoundedStream(response.stream, self._bounds, deadline)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, host: str, port: int) -> Sequence[Address]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._resolvers, resolve, host, port)

    async def _check(self, url: str) -> None:
        target = parse(url, self._policy)
        if target.address is not None:
            return  # an IP address, which `parse` has checked
        try:
            addresses = await self._resolve(target.host, target.port)
        except (OSError, UnicodeError):
            addresses = ()
        if not addresses:
            raise httpx.ConnectError("the host's name does not resolve")
        self._policy.judge(target, addresses)
        _checked.set(addresses)


class _CheckedAddresses(AbstractResolver):
    """Resolver that returns the checked addresses, without another DNS query."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,  # noqa: PLR2004
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in _checked.get()
        ]

    async def close(self) -> None:
        """Do nothing."""
