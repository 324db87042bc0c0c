"""HTTP requests and answers over ASGI, with connections that can be broken."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, Final, Protocol

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from workers.simulator.wire import JSON, Header, Json, invalid

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
    """An ASGI call, with the actions of the simulator."""

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
        """Wait. Raises ClientGoneError when the client goes away."""
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


EXTENSION: Final = "simulator.connection"
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # linger on, for no time: close() sends RST


class BreakableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which offers itself to the application as an ASGI extension.

    The simulator breaks connections on purpose, and uvicorn gives an application no way to its
    connection. `tests/workers/simulator/test_simulator_faults.py` fails when it does.
    """

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: self}  # type: ignore[dict-item]

    def close(self) -> None:
        """Send what was written, then close without ending the answer."""
        self.transport.close()

    def reset(self) -> None:
        """Reset the connection. Unsent data is lost."""
        connection: socket.socket = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.abort()


@dataclass(frozen=True, slots=True)
class Upload:
    field: str
    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart form. Of fields with the same name, the last one counts."""

    fields: dict[str, str]
    uploads: list[Upload]
    lists: dict[str, list[str]] = field(default_factory=dict)  # of fields that end in `[]`

    def upload(self, field: str) -> Upload | None:
        """Return the first file of a field, if there is one."""
        return next((each for each in self.uploads if each.field == field), None)


def json_object(body: bytes) -> Json:
    """Parse a JSON body as an object. Raises RefusedError."""
    try:
        call = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid("We could not parse the JSON body of your request") from error
    if not isinstance(call, dict):
        raise invalid("The JSON body of your request is not an object")
    return call


def json_call(body: bytes) -> Json:
    """Return a JSON object that names a model. Raises RefusedError."""
    call = json_object(body)
    if not isinstance(call.get("model"), str):
        raise invalid("you must provide a model parameter")
    return call


def required_text(call: Json, name: str) -> str:
    """Return a text that must be there and say something. Raises RefusedError."""
    text = call.get(name)
    if not isinstance(text, str) or not text.strip():
        raise invalid(f"Missing required parameter: '{name}'")
    return text


def form(content_type: str, body: bytes) -> Form:
    """Return the fields and the files of a multipart form. Raises RefusedError."""
    boundary = _parameters("content-type", content_type).get_boundary()
    if not boundary:
        raise invalid("Expected multipart/form-data with a boundary")
    read = Form({}, [])
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:-1]:
        head, _, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        headers = _headers(head)
        about = _parameters("content-disposition", headers.get("content-disposition", ""))
        name = str(about.get_param("name", "", "content-disposition"))
        if (filename := about.get_filename()) is None:
            read.fields[name] = data.decode(errors="replace")
            if name.endswith("[]"):
                read.lists.setdefault(name.removesuffix("[]"), []).append(read.fields[name])
        else:
            media_type = headers.get("content-type", "application/octet-stream")
            read.uploads.append(Upload(name, filename, media_type, data))
    return read


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode(errors="replace").split("\r\n")
    pairs = [line.partition(":") for line in lines]
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _parameters(name: str, value: str) -> Message:
    message = Message()
    message[name] = value
    return message
