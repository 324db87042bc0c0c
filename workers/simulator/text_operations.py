"""POST /v1/completions, the older way to ask."""

import time
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import uuid4

import orjson

from workers.simulator.bodies import json_call
from workers.simulator.openai_errors import OpenAIWire, event
from workers.simulator.openai_shapes import finish_reason, usage
from workers.simulator.openai_wire import DONE
from workers.simulator.replies import count_tokens, pieces
from workers.simulator.requests import Reply, Request, invalid
from workers.simulator.wire import Head

DEFAULT_LIMIT = 16  # tokens, as OpenAI has it


class Completions(OpenAIWire):
    """One prompt a call: a text, or tokens, of which nothing can be said but their number."""

    def read(self, head: Head, body: bytes) -> Request:
        del head
        call = json_call(body)
        text, tokens = _prompt(call.get("prompt"))
        limit, options = call.get("max_tokens"), call.get("stream_options")
        return Request(
            model=call["model"],
            stream=bool(call.get("stream")),
            stream_usage=isinstance(options, dict) and bool(options.get("include_usage")),
            text=text,
            tokens=tokens,
            max_tokens=limit if isinstance(limit, int) else DEFAULT_LIMIT,
        )

    def answer(self, request: Request, reply: Reply) -> bytes:
        whole = _head(request) | {"choices": [_choice(reply.text or "", finish_reason(reply))]}
        return orjson.dumps(whole | {"usage": usage(request, reply)} if reply.usage else whole)

    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        for chunk in _chunks(request, reply):
            yield event(chunk)
        yield DONE


def _prompt(asked: Any) -> tuple[str, int]:
    """Return the text of a prompt and its tokens."""
    if isinstance(asked, list) and len(asked) == 1 and not isinstance(asked[0], int):
        asked = asked[0]
    if isinstance(asked, str):
        return asked, count_tokens(asked)
    if asked and isinstance(asked, list) and all(isinstance(token, int) for token in asked):
        return f"{len(asked)} tokens", len(asked)
    raise invalid("Invalid value for 'prompt': one text or one list of tokens can be completed")


def _chunks(request: Request, reply: Reply) -> Iterator[dict[str, Any]]:
    head = _head(request)
    for piece in pieces(reply.text or ""):
        yield head | {"choices": [_choice(piece, None)]}
    yield head | {"choices": [_choice("", finish_reason(reply))]}
    if request.stream_usage and reply.usage:
        yield head | {"choices": [], "usage": usage(request, reply)}


def _head(request: Request) -> dict[str, Any]:
    return {
        "id": f"cmpl-{uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": request.model,
    }


def _choice(text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
