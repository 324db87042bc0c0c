"""POST /v1/messages."""

from collections.abc import Iterable
from uuid import uuid4

import orjson

from workers.simulator.anthropic_errors import OVERLOADED, envelope
from workers.simulator.anthropic_message import message
from workers.simulator.anthropic_prompt_cache import PromptCache
from workers.simulator.anthropic_request import understand
from workers.simulator.anthropic_rules import check
from workers.simulator.anthropic_stream import event, events
from workers.simulator.bodies import json_call
from workers.simulator.requests import ErrorReply, RefusedError, Reply, Request, invalid
from workers.simulator.wire import Head, Header, Wire


class AnthropicMessages(Wire):
    """As strict as the original about headers, limits, signatures and tool results.

    It has one state, as the provider has: what is in the prompt cache.
    """

    def __init__(self) -> None:
        self._cache = PromptCache()

    def read(self, head: Head, body: bytes) -> Request:
        call = json_call(body)
        try:
            check(head, call)
            return understand(call, self._cache)
        except RefusedError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise invalid("messages: Input does not match the expected shape.") from error

    def status(self, refusal: ErrorReply) -> int:
        return OVERLOADED if refusal.kind == "overloaded" else refusal.status

    def headers(self, refusal: ErrorReply) -> tuple[Header, ...]:
        return (*super().headers(refusal), (b"request-id", f"req_{uuid4().hex}".encode()))

    def refuse(self, refusal: ErrorReply) -> bytes:
        return orjson.dumps(envelope(refusal))

    def answer(self, request: Request, reply: Reply) -> bytes:
        return orjson.dumps(message(request, reply))

    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        return map(event, events(request, reply))

    def error_event(self, refusal: ErrorReply) -> bytes:
        return event(envelope(refusal))
