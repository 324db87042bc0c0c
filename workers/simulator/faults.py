"""Calls refused on purpose, and when."""

import re
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from workers.simulator.behaviour import Behaviour, Fault
from workers.simulator.requests import ErrorReply
from workers.simulator.wire import Head

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
    """Return how the `number`-th call (from 1) with this body is refused, if it is.

    The same body and number always have the same fate, so that a run can be repeated.
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
    """Return how a call with this key is refused: `…refused401…` with a 401 that echoes it."""
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
