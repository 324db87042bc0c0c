"""Helpers of tests of batches: lines, files, waiting for the end."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from tests.installation import Installation, chat, until

ENDED = {"completed", "failed", "expired", "cancelled"}
Line = dict[str, Any]
Ask = Callable[..., Any]


def line(custom_id: str, native: str = "sim-echo", prompt: str = "Hello", **more: Any) -> Line:
    """A line in OpenAI's form, for a simulated model."""
    body = chat(native, prompt, **more)
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def jsonl(lines: Iterable[Line]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def create(
    installation: Installation, lines: list[Line], status: int = 202, **wish: Any
) -> dict[str, Any]:
    """Create a batch from requests in the body."""
    headers = {"Idempotency-Key": wish.pop("key")} if "key" in wish else {}
    answer = installation.http.post("/batches", json={**wish, "requests": lines}, headers=headers)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def look(installation: Installation, batch_id: str, **query: Any) -> dict[str, Any]:
    answer = installation.http.get(f"/batches/{batch_id}", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def ended(installation: Installation, batch_id: str, seconds: float = 30) -> dict[str, Any]:
    """Return the batch once it has ended."""

    def found() -> dict[str, Any] | None:
        batch = look(installation, batch_id, results="false")
        return batch if batch["status"] in ENDED else None

    return until(found, seconds, lambda: f"{look(installation, batch_id)}\n{installation.log()}")


def results(installation: Installation, batch_id: str) -> dict[str, Line]:
    """Return the results of a batch by custom_id, each of which comes once."""
    found = look(installation, batch_id, results="true", limit=1000)["results"]
    by_id = {each["custom_id"]: each for each in found}
    assert len(by_id) == len(found), "a custom_id comes twice"
    return by_id


def content(result: Line) -> str:
    return str(result["response"]["body"]["choices"][0]["message"]["content"])


def lines_of(installation: Installation, file_id: str) -> list[Line]:
    """Return the lines of a file of results."""
    text = installation.http.get(f"/files/{file_id}/content").text
    return [json.loads(each) for each in text.splitlines()]


def cost_of(found: Iterable[Line]) -> float:
    return sum(
        each["response"]["body"]["usage"]["cost"]
        for each in found
        if each["response"] is not None and each["response"]["status_code"] == 200
    )
