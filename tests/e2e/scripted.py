"""Providers whose answers are written out, one after another."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.e2e.cases.playback import Recording, Sent

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}


def answer(status: int = 200, body: Any = None, **headers: str) -> dict[str, Any]:
    """Return an answer as `Playback` sends it; `retry_after` becomes `retry-after`."""
    fields = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return {
        "head": [f"HTTP/1.1 {status} X", "content-type: application/json", *fields],
        "framing": "content-length",
        "body": [json.dumps(CHAT if body is None else body)],
        "end": "proper",
    }


def refusal(status: int, message: str, *, code: str = "", **headers: str) -> dict[str, Any]:
    return answer(status, {"error": {"message": message, "code": code}}, **headers)


@dataclass
class Script(Recording):
    """Answers in their order; the last one stays. One with `for` is for requests that match it."""

    def choose(self, name: str, request: Sent) -> Mapping[str, Any]:
        found = [each for each in self.answers if each.get("for") is not None]
        if found and any(each["for"].encode() in request.body for each in found):
            return next(each for each in found if each["for"].encode() in request.body)
        rest: Sequence[Mapping[str, Any]] = [e for e in self.answers if e.get("for") is None]
        return rest[min(len(self.requests), len(rest)) - 1]


def tables(slug: str, port: int, *, key: str = "any", more: str = "") -> str:
    """Return a provider of waybill.toml that answers at `/<slug>`, with one model."""
    return (
        f'\n[[providers]]\nslug = "{slug}"\nwire = "openai"\napi_key = "{key}"\n'
        f'base_url = "http://127.0.0.1:{port}/{slug}/v1"\n{more}\n'
        f'[[models]]\nslug = "t/{slug}"\n'
        f'endpoints = [{{ provider = "{slug}", model = "m", prompt = "1", completion = "1" }}]\n'
    )
