"""Refusals of calls and broken answers."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from workers.simulator.behaviour import Behaviour, Fault
from workers.simulator.http import Exchange
from workers.simulator.wire import ErrorReply, Head, Reply, Request, Wire

SERVER_ERROR: Final = ErrorReply(
    500, "server_error", "The server had an error while processing your request"
)
RATE_LIMITED: Final = ErrorReply(429, "rate_limited", "Rate limit reached for requests")
REFUSALS: Final = {
    Fault.RATE_LIMITED: RATE_LIMITED,
    Fault.SERVER_ERROR: SERVER_ERROR,
    Fault.OVERLOADED: ErrorReply(503, "overloaded", "The engine is currently overloaded"),
    Fault.OVERLOADED_529: ErrorReply(529, "overloaded", "Overloaded"),
    Fault.UNAUTHORIZED: ErrorReply(401, "unauthorized", "Incorrect API key provided"),
    Fault.BAD_REQUEST: ErrorReply(400, "bad_request", "Invalid value for 'messages'"),
    Fault.CONTEXT: ErrorReply(
        400, "context_length", "This model's maximum context length is 8192 tokens"
    ),
}
REFUSED_KEY: Final = re.compile(r"refused(4\d\d)")
WAITABLE: Final = frozenset({429, 503, 529})


def refusal_due(behaviour: Behaviour, body: bytes, number: int) -> ErrorReply | None:
    """Return the refusal of the `number`-th call (from 1) with this body, if it is refused.

    The same body and number always have the same result, so that a run can be repeated.
    """
    refusal = REFUSALS.get(behaviour.fault) if behaviour.fault else None
    if number <= behaviour.fail_first:
        refusal = SERVER_ERROR
    elif behaviour.flaky_percent:
        refusal = refusal or _unlucky(behaviour.flaky_percent, body, number)
    if refusal and behaviour.retry_after is not None and refusal.status in WAITABLE:
        return replace(refusal, retry_after=behaviour.retry_after)
    return refusal


def key_refusal(head: Head) -> ErrorReply | None:
    """Return the refusal of a call by its key: `…refused401…` gives a 401 that echoes it."""
    given = head.header(b"authorization") or head.header(b"x-api-key")
    match = REFUSED_KEY.search(given)
    if match is None:
        return None
    return ErrorReply(int(match[1]), "unauthorized", f"Incorrect API key provided: {given}")


def _unlucky(percent: int, body: bytes, number: int) -> ErrorReply | None:
    digest = blake2b(body, digest_size=5, salt=number.to_bytes(8, "big")).digest()
    if int.from_bytes(digest[:4], "big") % 100 >= percent:
        return None
    return SERVER_ERROR if digest[4] % 2 else RATE_LIMITED


Breakage = Callable[[Exchange, Wire, Request, Reply], Awaitable[None]]

HUGE_BYTES: Final = 100 * 1024 * 1024
HUGE_PIECE: Final = b"na " * 21_845  # 64 KiB
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
    """Send 100 MB that begin as an answer: one long string, or one long line of a stream."""
    await exchange.begin(content=wire.content(request))
    await exchange.write(_before_text(_whole(wire, request, reply), reply))
    for _ in range(HUGE_BYTES // len(HUGE_PIECE)):
        await exchange.write(HUGE_PIECE)
    await exchange.end()


async def error_in_stream(exchange: Exchange, wire: Wire, request: Request, reply: Reply) -> None:
    if not request.stream:
        await exchange.answer(200, wire.refuse(SERVER_ERROR))
        return
    events = [*wire.events(request, reply)][: wire.events_before_error]
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
