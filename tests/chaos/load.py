"""Work to be disturbed: many jobs at once, and readers of streams that report what they got."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

from tests.e2e.sse import Frame, read
from tests.installation import Installation, chat


def submit_many(installation: Installation, count: int, native: str, **wish: object) -> list[str]:
    """Submit jobs, several at a time; return their ids. Each has a prompt of its own."""
    with ThreadPoolExecutor(8) as pool:
        return list(
            pool.map(
                lambda n: installation.submit(native, f"job number {n}.", **wish), range(count)
            )
        )


def await_all(installation: Installation, job_ids: list[str], seconds: float) -> list[dict]:
    """Wait for all jobs to end, then check the books: none lost, none paid twice."""
    installation.await_idle(seconds)
    jobs = [installation.job(job_id) for job_id in job_ids]
    installation.audit(job_ids)
    return jobs


@dataclass
class Reader:
    """Someone who reads a stream in a thread of their own."""

    installation: Installation
    native: str
    frames: list[Frame] = field(default_factory=list)
    job_id: str = ""
    broken_off: bool = False  # the connection was cut before the stream said that it ended

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        body = chat(self.native, f"reader {id(self)}", stream=True)
        try:
            with self.installation.http.stream("POST", "/chat/completions", json=body) as answer:
                self.job_id = answer.headers["x-job-id"]
                for frame in read(line + "\n" for line in answer.iter_lines()):
                    self.frames.append(frame)
        except httpx.TransportError:
            self.broken_off = True

    def join(self, seconds: float) -> None:
        self.thread.join(seconds)
        assert not self.thread.is_alive(), f"{self.job_id} still streams: {self.frames[-3:]}"

    @property
    def done(self) -> bool:
        return bool(self.frames) and self.frames[-1].data == "[DONE]"

    @property
    def failed(self) -> bool:
        return self.done and "error" in self.frames[-2].json
