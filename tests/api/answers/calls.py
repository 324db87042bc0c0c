"""Calls that are answered, streamed, or accepted for later; and jobs."""

import base64
import re
import time

import httpx

from tests.api.answers.walking import Caller, Walk
from tests.e2e.conftest import WAV
from tests.installation import until

CHAT = {
    "model": "acme/small",
    "messages": [{"role": "user", "content": "Say hello in one sentence."}],
}
AUDIO = {"data": base64.b64encode(WAV).decode(), "format": "wav"}
PICTURE = {"model": "acme/paint", "prompt": "A lighthouse at dawn"}
MESSAGE = {
    "model": "acme/small",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Say hello in one sentence."}],
}
IMAGE = {
    "image_url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP"
    "8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
}
CALLS = {
    "POST /chat/completions": CHAT,
    "POST /messages": MESSAGE,
    "POST /responses": {"model": "acme/small", "input": "Say hello in one sentence."},
    "POST /completions": {"model": "acme/base", "prompt": "Once upon a time"},
    "POST /embeddings": {"model": "acme/embed", "input": ["first", "second"], "dimensions": 4},
    "POST /images": PICTURE,
    "POST /images/generations": PICTURE,
    "POST /images/edits": {**PICTURE, "images": [IMAGE]},
    "POST /images/variations": {"model": PICTURE["model"], "images": [IMAGE]},
    "POST /rerank": {
        "model": "acme/rank", "query": "capital of France", "documents": ["Paris", "Rome"],
    },
    "POST /moderations": {"model": "acme/moderation", "input": ["a text", "another text"]},
    "POST /audio/transcriptions": {"model": "acme/listen", "input_audio": AUDIO},
    "POST /audio/speech": {"model": "acme/speak", "input": "Hello.", "voice": "alloy"},
}  # fmt: skip
LATER = {"Prefer": "respond-async"}
ENDED = ("completed", "failed", "needs_review", "cancelled")


def call(walk: Walk) -> None:
    ask = walk.caller
    for operation, body in CALLS.items():
        ask(operation, json=body)
        with walk.nobody_works():
            ask(operation, json=body, headers=LATER)
    ask("POST /chat/completions", json=CHAT | {"stream": True})
    use_responses(ask)
    use_messages(walk)


def use_messages(walk: Walk) -> None:
    ask = walk.caller
    prompt = {name: value for name, value in MESSAGE.items() if name != "max_tokens"}
    ask("POST /messages/count_tokens", json=prompt)
    id_ = ask("POST /messages", json=MESSAGE)["id"]
    ask("GET /messages/{message_id}", message_id=id_)
    with walk.nobody_works():
        job = ask.http.post("/api/v1/messages", json=MESSAGE, headers=LATER).json()
        waiting = job["id"].replace("job_", "msg_")
        ask("GET /messages/{message_id}", message_id=waiting)


def use_responses(ask: Caller) -> None:
    asked = CALLS["POST /responses"]
    id_ = ask("POST /responses", json=asked)["id"]
    ask("GET /responses/{response_id}", response_id=id_)
    ask("GET /responses/{response_id}/input_items", response_id=id_)
    ask("POST /responses/{response_id}/cancel", response_id=id_)
    ask("POST /responses/input_tokens", json=asked)
    ask("DELETE /responses/{response_id}", response_id=id_)


def look_at_a_generation(walk: Walk) -> None:
    answer = walk.caller.http.post("/api/v1/chat/completions", json=CHAT | {"user": "ada"})
    which = {"id": answer.headers["x-generation-id"]}
    walk.caller("GET /generation", params=which)
    walk.caller("GET /generation/content", params=which)


def do_jobs(walk: Walk) -> None:
    ask = walk.caller
    wish = {"body": CHAT, "metadata": {"ticket": "42"}}
    with walk.nobody_works():
        job_id = ask("POST /jobs", json=wish)["id"]
        ask("GET /queues")
    ask.until(_has_ended, "GET /jobs/{job_id}", job_id=job_id)
    ask("GET /jobs", params={"metadata[ticket]": "42"})
    events = ask("GET /jobs/{job_id}/events", job_id=job_id)
    last = re.findall(r"^id: (\d+)$", events, re.MULTILINE)[-1]
    ask("GET /jobs/{job_id}/events", job_id=job_id, params={"after": last})
    ask("DELETE /jobs/{job_id}", job_id=job_id)
    cheapest = {"model": "acme/large", "provider": {"sort": "price"}}
    ask("POST /route", json=CHAT | cheapest)


def call_jobs_off(walk: Walk) -> None:
    ask = walk.caller
    waiting = {"body": CHAT, "not_before": time.time() + 24 * 3600}
    ask("POST /jobs/{job_id}/cancel", job_id=_submitted(ask.http, waiting))
    running = _submitted(ask.http, {"body": CHAT | {"model": "acme/slow"}})
    _await(ask, running, ("running",))
    with walk.nobody_works():
        ask("POST /jobs/{job_id}/cancel", job_id=running)


def try_a_job_again(walk: Walk) -> None:
    ask = walk.caller
    job_id = _submitted(ask.http, {"body": CHAT | {"model": "acme/unsure"}, "on_unknown": "hold"})
    _await(ask, job_id, ("needs_review",))
    with walk.nobody_works():
        ask("POST /jobs/{job_id}/retry", job_id=job_id)
    _await(ask, job_id, ENDED)


def _has_ended(job: dict) -> bool:
    return job["status"] in ENDED


def _submitted(http: httpx.Client, wish: dict) -> str:
    answer = http.post("/api/v1/jobs", json=wish)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _await(ask: Caller, job_id: str, states: tuple[str, ...]) -> None:
    def status() -> str:
        return str(ask.http.get(f"/api/v1/jobs/{job_id}").json()["status"])

    until(lambda: status() in states, 30, lambda: f"{job_id}: {status()}, not one of {states}")
