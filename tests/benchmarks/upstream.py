"""A provider that answers at once: OpenAI's wire, as JSON or as a stream of 16 chunks.

`python -m tests.benchmarks.upstream PORT` serves it on this machine. Streams of the model
`…/held` stop after the first chunk and stay open. It costs about a tenth of the
cheapest gateway, so that it can share a core with the load generator.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import cast

import httptools
import orjson
import uvloop

CHUNKS = 16
WORDS = tuple(f"word{number} " for number in range(CHUNKS))
TEXT = "".join(WORDS)
USAGE = {"prompt_tokens": 9, "completion_tokens": CHUNKS, "total_tokens": 9 + CHUNKS}
ID = "chatcmpl-0123456789abcdef"
HELD_PARTS = 3  # of a stream that stays open: its head, the role and the first word
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def answer(model: str) -> bytes:
    """Return a whole HTTP answer with a chat completion."""
    message = {"role": "assistant", "content": TEXT}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return _json(_head(model, "chat.completion") | {"choices": [choice], "usage": USAGE})


def stream(model: str, *, with_usage: bool) -> list[bytes]:
    """Return the parts of an HTTP answer that streams a chat completion."""
    head = _head(model, "chat.completion.chunk")
    events = [head | {"choices": [_choice({"role": "assistant", "content": ""})]}]
    events += [head | {"choices": [_choice({"content": word})]} for word in WORDS]
    events.append(head | {"choices": [_choice({}, "stop")]})
    if with_usage:
        events.append(head | {"choices": [], "usage": USAGE})
    texts = [*map(orjson.dumps, events), b"[DONE]"]
    return [STREAM_HEAD, *(_chunk(b"data: %b\n\n" % text) for text in texts), b"0\r\n\r\n"]


def _head(model: str, kind: str) -> dict[str, object]:
    return {"id": ID, "object": kind, "created": int(time.time()), "model": model}


def _choice(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, object]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _json(body: dict[str, object]) -> bytes:
    data = orjson.dumps(body)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(data) + data


class Upstream(asyncio.Protocol):
    """One connection. Each part of a stream is sent in a turn of the loop of its own."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self._parser.get_method() != b"POST":
            self.transport.write(_json({"object": "list", "data": []}))
            return
        body = orjson.loads(b"".join(self._body))
        self._body.clear()
        model = str(body["model"])
        if not body.get("stream"):
            self.transport.write(answer(model))
            return
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        parts = stream(model, with_usage=with_usage)
        self._send(iter(parts[:HELD_PARTS] if model.endswith("/held") else parts))

    def _send(self, parts: Iterator[bytes]) -> None:
        part = next(parts, None)
        if part is not None and not self.transport.is_closing():
            self.transport.write(part)
            asyncio.get_running_loop().call_soon(self._send, parts)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
