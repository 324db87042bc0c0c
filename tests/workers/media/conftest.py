import asyncio
import contextlib

import pytest

from broker.settings import Settings
from workers.media import Fetcher


class Shop:
    """An HTTP server on this machine, as somebody's website."""

    def __init__(self):
        self.files = {}
        self.heard = []

    def put(self, path, body, mime=None, *, status=200, **headers):
        stated = {"content-type": mime} if mime else {}
        self.files[path] = (status, stated | headers, body)
        return self.url(path)

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    async def answer(self, reader, writer):
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = request.split()[1].partition("?")[0]
        self.heard.append(path)
        status, headers, body = self.files.get(path, (404, {}, b""))
        lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()


@pytest.fixture
async def shop():
    shop = Shop()
    server = await asyncio.start_server(shop.answer, "127.0.0.1", 0)
    shop.port = server.sockets[0].getsockname()[1]
    yield shop
    server.close()


@pytest.fixture
async def fetch():
    """A fetcher that may reach this machine."""
    fetcher = Fetcher(
        Settings.model_construct(
            allowed_networks=Settings(allowed_networks="127.0.0.0/8").allowed_networks,
            max_media_bytes=50_000,
        )
    )
    yield fetcher
    await fetcher.aclose()


@pytest.fixture
async def strict_fetch():
    """A fetcher as it is without any setting."""
    fetcher = Fetcher(Settings.model_construct())
    yield fetcher
    await fetcher.aclose()
