"""Answers broken on purpose: what a provider, a proxy or a network does on a bad day."""

from collections.abc import Awaitable, Callable
from typing import Final

from workers.simulator.behaviour import Fault
from workers.simulator.faults import SERVER_ERROR
from workers.simulator.http import Exchange
from workers.simulator.requests import Reply, Request
from workers.simulator.wire import Wire

Breakage = Callable[[Exchange, Wire, Request, Reply], Awaitable[None]]

HUGE_BYTES: Final = 100 * 1024 * 1024
HUGE_PIECE: Final = b"na " * 21_845  # 64 KiB
EVENTS_BEFORE_ERROR: Final = 4  # the role and a few tokens
PAGE: Final = b"""<!DOCTYPE html>
<html><head><title>502 Bad Gateway</title></head>
<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>
"""


async def reset(exchange: Exchange, _wire: Wire, _request: Request, _reply: Reply) -> None:
    await exchange.reset()


async def stall(exchange: Exchange, _wire: Wire, _request: Request, _reply: Reply) -> None:
    await exchange.stall()


async def freeze(exchange: Exchange, wire: Wire, request: Request, reply: Reply) -> None:
    await _begin_half(exchange, wire, request, reply)
    await exchange.stall()


async def cut(exchange: Exchange, wire: Wire, request: Request, reply: Reply) -> None:
    await _begin_half(exchange, wire, request, reply)
    await exchange.close()


async def garbage(exchange: Exchange, _wire: Wire, _request: Request, _reply: Reply) -> None:
    await exchange.answer(200, PAGE, content=b"text/html")


async def half(exchange: Exchange, wire: Wire, request: Request, reply: Reply) -> None:
    whole = _whole(wire, request, reply)
    await exchange.answer(200, whole[: len(whole) // 2], content=wire.content(request))


async def huge(exchange: Exchange, wire: Wire, request: Request, reply: Reply) -> None:
    """Send 100 MB that begin like an answer: one endless string, in a stream one endless line."""
    await exchange.begin(content=wire.content(request))
    await exchange.write(_before_text(_whole(wire, request, reply), reply))
    for _ in range(HUGE_BYTES // len(HUGE_PIECE)):
        await exchange.write(HUGE_PIECE)
    await exchange.end()


async def error_in_stream(exchange: Exchange, wire: Wire, request: Request, reply: Reply) -> None:
    if not request.stream:
        await exchange.answer(200, wire.refuse(SERVER_ERROR))
        return
    events = [*wire.events(request, reply)][:EVENTS_BEFORE_ERROR]
    await exchange.begin(content=wire.content(request))
    await exchange.end(b"".join([*events, wire.error_event(SERVER_ERROR)]))


BREAKAGES: Final[dict[Fault, Breakage]] = {
    Fault.RESET: reset,
    Fault.STALL: stall,
    Fault.FREEZE: freeze,
    Fault.CUT: cut,
    Fault.GARBAGE: garbage,
    Fault.HALF: half,
    Fault.HUGE: huge,
    Fault.ERROR_IN_STREAM: error_in_stream,
}


async def _begin_half(exchange: Exchange, wire: Wire, request: Request, reply: Reply) -> None:
    """Send the first half of an answer: whole events of a stream, or half a document."""
    if request.stream:
        events = [*wire.events(request, reply)]
        await exchange.begin(content=wire.content(request))
        await exchange.write(b"".join(events[: len(events) // 2]))
        return
    body = wire.answer(request, reply)
    length = (b"content-length", b"%d" % len(body))
    await exchange.begin(content=wire.content(request), headers=[length])
    await exchange.write(body[: len(body) // 2])


def _whole(wire: Wire, request: Request, reply: Reply) -> bytes:
    if request.stream:
        return b"".join(wire.events(request, reply))
    return wire.answer(request, reply)


def _before_text(whole: bytes, reply: Reply) -> bytes:
    opening = (reply.text or "")[:4].encode()
    return whole[: whole.find(opening)] if opening else whole[: len(whole) // 2]
