import hashlib
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest


@dataclass
class FakeWaybill:
    """The jobs API as far as a client sees it: jobs by idempotency key, done after a few looks."""

    looks_until_done: int = 1
    before: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
    jobs: dict[str, dict] = field(default_factory=dict)  # by idempotency key
    looks: dict[str, int] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.before(request)
        if answer is not None:
            return answer
        if request.method == "POST":
            return httpx.Response(202, json=self._submit(request))
        job_id = request.url.path.rsplit("/", 1)[1]
        job = next(job for job in self.jobs.values() if job["id"] == job_id)
        self.looks[job_id] = self.looks.get(job_id, 0) + 1
        if self.looks[job_id] >= self.looks_until_done:
            self._finish(job)
        return httpx.Response(200, json=job)

    def _submit(self, request: httpx.Request) -> dict:
        key, body = request.headers["idempotency-key"], json.loads(request.content)
        digest = hashlib.sha256(request.content).hexdigest()
        number = len(self.jobs)
        job = self.jobs.setdefault(
            key,
            {
                "id": f"job_{number:04d}",
                "digest": digest,
                "status": "queued",
                "model": body["body"].get("model"),
                "provider": "p",
                "attempts": [],
                "usage": None,
                "prompt": body["body"]["messages"][-1]["content"],
            },
        )
        assert job["digest"] == digest, "another body under the same key"
        return job

    def _finish(self, job: dict) -> None:
        job["status"] = "failed" if "FAIL" in job["prompt"] else "completed"
        job["attempts"] = [{"provider": "p", "outcome": "ok", "duration_ms": 5}]
        job["usage"] = {"cost": 0.5, "total_tokens": 7}
        if job["status"] == "completed":
            job["response"] = {"choices": [{"message": {"content": job["prompt"].upper()}}]}
        else:
            job["error"] = {"message": "no luck"}


@pytest.fixture
def waybill() -> FakeWaybill:
    return FakeWaybill()


@pytest.fixture
def failing_first() -> Callable[[int, Callable[[], httpx.Response]], Callable]:
    """Make the first requests fail, whichever way."""

    def build(times: int, trouble: Callable[[], httpx.Response]) -> Callable:
        count = itertools.count(1)
        return lambda _request: trouble() if next(count) <= times else None

    return build
