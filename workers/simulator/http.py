"""One HTTP request and its answer."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Protocol

from workers.simulator.connection import EXTENSION
from workers.simulator.wire import JSON, Header

Scope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]


class ClientGoneError(Exception):
    """The client closed the connection before it had its answer."""


class Connection(Protocol):
    def close(self) -> None: ...
    def reset(self) -> None: ...


class Exchange:
    """An ASGI call, with the verbs the simulator needs."""

    __slots__ = ("_receive", "_send", "method", "path", "scope")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self._receive = receive
        self._send = send

    def header(self, name: bytes) -> str:
        """Return a header, "" where there is none."""
        headers: Iterable[Header] = self.scope["headers"]
        return next((value.decode("latin-1") for key, value in headers if key == name), "")

    async def body(self) -> bytes:
        """Read the whole request. Raises ClientGoneError."""
        parts = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)

    async def answer(
        self, status: int, body: bytes, headers: Iterable[Header] = (), content: bytes = JSON
    ) -> None:
        await self.begin(status, content, [*headers, (b"content-length", b"%d" % len(body))])
        await self.end(body)

    async def begin(
        self, status: int = 200, content: bytes = JSON, headers: Iterable[Header] = ()
    ) -> None:
        start = {"status": status, "headers": [(b"content-type", content), *headers]}
        await self._send({"type": "http.response.start", **start})

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def pause(self, milliseconds: int) -> None:
        """Wait. Raises ClientGoneError as soon as the client goes."""
        if milliseconds:
            try:
                async with asyncio.timeout(milliseconds / 1000):
                    await self._departure()
            except TimeoutError:
                return
            raise ClientGoneError

    async def stall(self) -> None:
        """Wait for the client to go. Raises ClientGoneError, always."""
        await self._departure()
        raise ClientGoneError

    async def close(self) -> None:
        """Send what was written, then close the connection without ending the answer."""
        self._connection().close()
        await self._departure()

    async def reset(self) -> None:
        """Reset the connection, so that the client reads ECONNRESET."""
        self._connection().reset()
        await self._departure()

    async def _departure(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _connection(self) -> Connection:
        connection: Connection | None = self.scope.get("extensions", {}).get(EXTENSION)
        if connection is None:
            raise ConnectionResetError("only simulator.app.serve can break connections")
        return connection
