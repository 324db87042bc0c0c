"""A provider on a real socket that sends exact bytes and ends its connection in a chosen way."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

from broker.completion import AttemptAnswer, Chunk, CompletionRequest
from broker.settings import Settings
from workers.adapters.base import Upstream
from workers.adapters.registry import ADAPTERS
from workers.upstream.answer_body import Deadlines, Stopwatch
from workers.upstream.assembly import Assembly
from workers.upstream.client import ProviderClient, call
from workers.upstream.provider_call import ProviderCall


class End(Enum):
    """The end of the connection once everything was sent."""

    PROPER = "proper"
    RESET = "reset"
    NO_LAST_CHUNK = "no last chunk"
    OPEN = "open"
    COMMENTS = "comments"


@dataclass
class Provider:
    """Answers every request with the same bytes.

    `filler` is sent again and again where the connection ends in comments.
    """

    head: Sequence[str]
    pieces: Sequence[bytes]
    end: End = End.PROPER
    chunked: bool = True
    filler: bytes = b": still here\n\n"
    status: str = "200 OK"
    connections: int = 0
    requests: int = 0
    answering: asyncio.Event = field(default_factory=asyncio.Event)  # a first request has come
    _gone: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            self._gone.set()
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the caller has closed the connection
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        [length] = [
            int(line.partition(b":")[2])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length")
        ]
        await reader.readexactly(length)
        self.requests += 1
        size = sum(map(len, self.pieces))
        framing = "transfer-encoding: chunked" if self.chunked else f"content-length: {size}"
        writer.write("\r\n".join([f"HTTP/1.1 {self.status}", *self.head, framing, "", ""]).encode())
        for piece in self.pieces:
            await self._write(writer, piece)
        self.answering.set()
        return await self._finish(writer)

    async def _write(self, writer: asyncio.StreamWriter, piece: bytes) -> None:
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if self.chunked else piece)
        await writer.drain()

    async def _finish(self, writer: asyncio.StreamWriter) -> bool:
        if self.end is End.PROPER:
            writer.write(b"0\r\n\r\n" if self.chunked else b"")
            return True
        if self.end is End.RESET:
            await asyncio.sleep(0.05)  # what was sent must leave before the reset discards it
            linger = struct.pack("ii", 1, 0)
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        while self.end in (End.OPEN, End.COMMENTS) and not self._gone.is_set():
            if self.end is End.COMMENTS:
                await self._write(writer, self.filler)
            await asyncio.sleep(0.02)
        return False


@dataclass
class Called:
    """The result of a call, and the chunks shown meanwhile."""

    answer: AttemptAnswer
    shown: list[Chunk]


async def ask(
    address: str,
    wire: str,
    request: CompletionRequest,
    *,
    idle: float = 30.0,
    most: int = 1_000_000,
    transport: ProviderClient | None = None,
) -> Called:
    """Call the provider as a worker does."""
    shown: list[Chunk] = []
    used = transport or ProviderClient(Settings())
    try:
        answer = await call(ProviderCall(
            used.send,
            ADAPTERS[wire],
            request,
            Upstream(slug="p", base_url=address, api_key="us-east-1:k", wire=wire,
                     options={"region": "us-east-1"}),
            Stopwatch(Deadlines(first_byte=30, idle=idle, total=60)),
            max_bytes=most,
            on_headers=lambda _: None,
            assembly=Assembly(shown.append),
        ))  # fmt: skip
    finally:
        if transport is None:
            await used.aclose()
    return Called(answer, shown)
