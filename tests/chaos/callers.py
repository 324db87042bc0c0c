"""Callers of a random run: each does one thing after the other and notes what it was promised."""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos.following import Followed, follow
from tests.e2e.batching import line
from tests.installation import KEY, Installation, chat

SOUND = ("sim", "sim-echo", "sim-lat500", "sim-lat2000", "sim-tok60-chunk50")
FAULTY = (
    *("sim-fail2", "sim-flaky50-retry1", "sim-500", "sim-503", "sim-reset", "sim-cut"),
    *("sim-garbage", "sim-half", "sim-errstream", "sim-stall", "sim-freeze"),
)
STREAMED = ("sim-tok60-chunk50", "sim-tok97-chunk5", "sim-tok400-chunk50")
MOST_TOKENS = 500
AWAY = (httpx.TransportError,)


@dataclass
class Notes:
    """Record the promises to callers and their observations, from many threads."""

    stop: threading.Event = field(default_factory=threading.Event)
    done: Counter[str] = field(default_factory=Counter)
    jobs: set[str] = field(default_factory=set)
    called_back: set[str] = field(default_factory=set)  # jobs with a webhook
    batches: dict[str, set[str]] = field(default_factory=dict)  # custom_ids by batch
    limited: set[str] = field(default_factory=set)  # batches of a key with a limit
    streams: list[Followed] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)  # status and error type
    flaws: list[str] = field(default_factory=list)


class Caller:
    """One caller with a die of their own."""

    def __init__(
        self, installation: Installation, notes: Notes, seed: str, key: str, hook: str
    ) -> None:
        self.installation, self.notes, self.hook = installation, notes, hook
        self.is_limited = key != KEY
        self.dice = random.Random(seed)
        headers = {"Authorization": f"Bearer {key}"}
        self.http = httpx.Client(base_url=installation.url, headers=headers, timeout=40)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        deeds: list[Callable[[], None]] = [
            self.call, self.call, self.stream, self.stream, self.submit, self.submit,
            self.repeat, self.cancel, self.batch,
        ]  # fmt: skip
        while not self.notes.stop.is_set():
            deed = self.dice.choice(deeds)
            try:
                deed()
                self.notes.done[deed.__name__] += 1
            except AWAY:
                self.notes.done[f"{deed.__name__}: connection lost"] += 1
            except Exception as error:  # a flaw of the installation or of this caller
                self.notes.flaws.append(f"{deed.__name__}: {error!r}")
            time.sleep(self.dice.random() / 4)

    def call(self) -> None:
        self._post("/chat/completions", self._body())

    def stream(self) -> None:
        body = self._body(self.dice.choice(STREAMED), stream=True)
        followed = follow(self.http, body, self._judge)
        if followed is not None:
            self.notes.jobs.add(followed.job_id)
            self.notes.streams.append(followed)

    def submit(self) -> None:
        answer = self._post("/jobs", {"body": self._body(), "callback_url": self.hook})
        if answer.status_code == 202:
            self.notes.called_back.add(answer.json()["id"])

    def repeat(self) -> None:
        """Send the same request until two answers came; they are of one job."""
        key = {"Idempotency-Key": uuid.UUID(int=self.dice.getrandbits(128)).hex}
        wish = {"body": self._body(), "callback_url": self.hook}
        seen: list[str] = []
        until = time.monotonic() + 60
        while len(seen) < 2 and time.monotonic() < until:
            try:
                answer = self._post("/jobs", wish, headers=key)
            except AWAY:
                time.sleep(0.3)
                continue
            if answer.status_code == 402:
                return
            if answer.status_code < 300:
                seen.append(answer.json()["id"])
        if len(set(seen)) > 1:
            self.notes.flaws.append(f"one Idempotency-Key, two jobs: {seen}")
        self.notes.called_back.update(seen)

    def cancel(self) -> None:
        stream = self.dice.random() < 0.5
        body = self._body("sim-tok400-chunk50", stream=stream)
        answer = self._post("/jobs", {"body": body, "callback_url": self.hook})
        if answer.status_code != 202:
            return
        job_id = answer.json()["id"]
        self.notes.called_back.add(job_id)
        time.sleep(self.dice.random() * 2)
        choice = {"await_usage": str(self.dice.random() < 0.5).lower()}
        self._judge(self.http.post(f"/jobs/{job_id}/cancel", params=choice))

    def batch(self) -> None:
        ids = [f"line-{n}" for n in range(self.dice.randint(2, 12))]
        lines = [line(each, self.dice.choice(SOUND), each, max_tokens=50) for each in ids]
        key = {"Idempotency-Key": uuid.UUID(int=self.dice.getrandbits(128)).hex}
        answer = self._post("/batches", {"requests": lines}, headers=key)
        if answer.status_code == 202:
            batch_id = answer.json()["id"]
            self.notes.batches[batch_id] = set(ids)
            if self.is_limited:
                self.notes.limited.add(batch_id)

    def _body(self, native: str = "", **more: object) -> dict[str, Any]:
        native = native or self.dice.choice(SOUND if self.dice.random() < 0.6 else FAULTY)
        prompt = f"{native} {self.dice.getrandbits(64)}"
        others = {"models": ["spare/sim-echo"]} if self.dice.random() < 0.3 else {}
        return chat(native, prompt, max_tokens=MOST_TOKENS, **others, **more)

    def _post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        answer = self.http.post(path, json=body, headers=headers)
        self._judge(answer)
        if job_id := answer.headers.get("x-job-id"):
            self.notes.jobs.add(job_id)
        return answer

    def _judge(self, answer: httpx.Response) -> None:
        """Note what is refused; an error of the server's says what is wrong and when to return."""
        if answer.status_code < 400:
            return
        try:
            kind, said = _error_of(answer.json())
        except (ValueError, LookupError, TypeError):
            self.notes.flaws.append(f"no clear error: {answer.status_code} {answer.text[:200]}")
            return
        self.notes.errors[f"{answer.status_code} {kind}"] += 1
        if answer.status_code < 500:
            return
        is_ours = "x-job-id" not in answer.headers
        if not said or (is_ours and "retry-after" not in answer.headers):
            self.notes.flaws.append(f"no Retry-After: {answer.status_code} {answer.text[:200]}")


def _error_of(body: dict[str, Any]) -> tuple[str, str]:
    """Return the type and message of an error: OpenAI's shape, or a problem document (RFC 9457)."""
    if "detail" in body:
        return str(body["type"]).rpartition(":")[2], str(body["detail"])
    error = body["error"]
    return str(error["metadata"]["error_type"]), str(error["message"])
