"""A webhook receiver that does whatever it is told, and remembers what it heard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Request:
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers with `behaviour`: bytes, or seconds to wait (floats), in a row; None resets."""

    port: int = 0
    behaviour: list | None = field(default_factory=list)
    heard: list[Request] = field(default_factory=list)
    scheme: str = "http"
    busy: int = 0
    busiest: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.heard]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            self.heard.append(await _read(reader))
            if self.behaviour is None:
                writer.transport.abort()
                return
            for piece in self.behaviour:
                if isinstance(piece, float):
                    await asyncio.sleep(piece)
                else:
                    writer.write(piece)
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.busy -= 1
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
    headers = {line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in head}
    return Request(headers, await reader.readexactly(int(headers["content-length"])))


def answer(status: int, *headers: bytes, body: bytes = b"") -> bytes:
    lines = [b"HTTP/1.1 %d Said" % status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"connection: close"]) + b"\r\n\r\n" + body


@asynccontextmanager
async def receiving(*behaviour, tls=None) -> AsyncIterator[Receiver]:
    receiver = Receiver(behaviour=list(behaviour), scheme="https" if tls else "http")
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
