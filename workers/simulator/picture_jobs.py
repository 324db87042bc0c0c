"""Jobs of pictures, as Black Forest Labs and Fal have them, and Stability AI's forms.

A job is done some time after its submission, whether or not anyone polls it.
"""

import time
from abc import abstractmethod
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Final
from urllib.parse import parse_qs
from uuid import uuid4

import orjson

from workers.simulator.behaviour import UnknownModelError, parse
from workers.simulator.counters import Counters
from workers.simulator.http import Exchange, form, json_object, required_text
from workers.simulator.image_operations import IMAGE_PATH, SUFFIX
from workers.simulator.media import colour_of, square
from workers.simulator.openai_shapes import OpenAIWire
from workers.simulator.replies import count_tokens
from workers.simulator.wire import Head, Json, Reply, Request, invalid

BFL: Final = "/bfl/v1/"
FAL: Final = "/fal/"
STABILITY: Final = "/v2beta/stable-image/"
BLOCKED: Final = "forbidden"
"""A prompt with this word is refused."""

CENTS: Final = 4  # the cost of a picture of Black Forest Labs


@dataclass(slots=True)
class Job:
    """One submitted picture."""

    number: int  # of pictures
    seed: str
    done_at: float  # of the monotonic clock
    is_blocked: bool = False
    is_cancelled: bool = False
    polls: int = 0

    @property
    def is_done(self) -> bool:
        return time.monotonic() >= self.done_at

    def links(self, host: str) -> list[str]:
        """Return the addresses of the pictures."""
        colours = [colour_of(f"{self.seed}\0{index}") for index in range(self.number)]
        return [f"http://{host}{IMAGE_PATH}{colour}{SUFFIX}" for colour in colours]


@dataclass(slots=True)
class JobStore:
    """The submitted jobs of a simulator."""

    jobs: dict[str, Job] = field(default_factory=dict)

    def add(self, call: Json, model: str, number: int) -> str:
        """Submit a job, and return its id."""
        prompt = required_text(call, "prompt")
        seen = sorted(f"{name}:{value}" for name, value in call.items() if name != "prompt")
        job_id = uuid4().hex
        self.jobs[job_id] = Job(
            number,
            "\0".join([prompt, *seen]),
            time.monotonic() + _latency(model) / 1000,
            is_blocked=BLOCKED in prompt,
        )
        return job_id


class PictureJobs(OpenAIWire):
    """The submission of jobs of one vendor."""

    path: ClassVar[str]

    def __init__(self, store: JobStore) -> None:
        self.store = store

    def read(self, head: Head, body: bytes) -> Request:
        call = json_object(body)
        model = str(getattr(head, "path", "")).removeprefix(self.path)
        tokens = count_tokens(required_text(call, "prompt"))
        host = head.header(b"host")
        return Request(model, tokens=tokens, background=True, detail=(call, host))

    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        yield self.answer(request, reply)

    @abstractmethod
    def submission(self, call: Json, model: str, host: str) -> Json:
        """Submit a job; return the answer."""

    def answer(self, request: Request, reply: Reply) -> bytes:
        del reply
        call, host = request.detail
        return orjson.dumps(self.submission(call, request.model, host))


class BflJobs(PictureJobs):
    """Black Forest Labs."""

    path = BFL

    def submission(self, call: Json, model: str, host: str) -> Json:
        job_id = self.store.add(call, model, 1)
        return {"id": job_id, "polling_url": f"http://{host}{BFL}get_result?id={job_id}"}


class FalJobs(PictureJobs):
    """Fal."""

    path = FAL

    def submission(self, call: Json, model: str, host: str) -> Json:
        job_id = self.store.add(call, model, int(call.get("num_images") or 1))
        url = f"http://{host}{FAL}{model}/requests/{job_id}"
        return {
            "request_id": job_id,
            "response_url": url,
            "status_url": f"{url}/status",
            "cancel_url": f"{url}/cancel",
            "queue_position": 0,
        }


class StabilityForms(OpenAIWire):
    """Stability AI: the picture is in the answer."""

    def read(self, head: Head, body: bytes) -> Request:
        sent = form(head.header(b"content-type"), body)
        path = str(getattr(head, "path", "")).removeprefix(STABILITY)
        model = sent.fields.get("model", "sim")
        prompt = required_text(sent.fields, "prompt")
        uploads = [f"{each.field}:{len(each.data)}" for each in sent.uploads]
        seed = "\0".join([path, prompt, *uploads, *sorted(sent.fields.values())])
        if path not in ("generate/core", "generate/ultra", "generate/sd3", "edit/inpaint"):
            raise invalid(f"There is no service {path}")
        return Request(model, tokens=count_tokens(prompt), text=prompt, detail=seed)

    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        yield self.answer(request, reply)

    def answer(self, request: Request, reply: Reply) -> bytes:
        del reply
        if BLOCKED in request.text:
            return orjson.dumps({"finish_reason": "CONTENT_FILTERED", "seed": 1})
        image = b64encode(square(colour_of(request.detail))).decode()
        return orjson.dumps({"image": image, "finish_reason": "SUCCESS", "seed": 1})


Handler = Callable[[Exchange, Counters], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class JobRoutes:
    """The routes that poll and cancel jobs."""

    store: JobStore

    def at(self, exchange: Exchange) -> Handler | None:
        """Return the handler of a poll or a cancellation, if the path is one."""
        if exchange.path == f"{BFL}get_result":
            return self._poll_bfl
        if exchange.path.startswith(FAL) and "/requests/" in exchange.path:
            return self._poll_fal
        return None

    async def _poll_bfl(self, exchange: Exchange, _: Counters) -> None:
        query = parse_qs(exchange.scope["query_string"].decode())
        job_id = (query.get("id") or [""])[0]
        job = self.store.jobs.get(job_id)
        if job is None:
            await exchange.answer(404, orjson.dumps({"id": job_id, "status": "Task not found"}))
            return
        job.polls += 1
        shown: dict[str, object] = {"id": job_id, "status": "Pending", "result": None}
        if job.is_done and job.is_blocked:
            details = {"Moderation Reasons": ["Safety Filter"]}
            shown |= {"status": "Content Moderated", "details": details}
        elif job.is_done:
            [sample] = job.links(exchange.header(b"host"))
            shown |= {"status": "Ready", "result": {"sample": sample, "seed": 1}, "cost": CENTS}
        await exchange.answer(200, orjson.dumps(shown))

    async def _poll_fal(self, exchange: Exchange, counters: Counters) -> None:
        job_id, _, what = exchange.path.rpartition("/requests/")[2].partition("/")
        job = self.store.jobs.get(job_id)
        if job is None:
            await exchange.answer(404, orjson.dumps({"detail": "Request not found"}))
            return
        job.polls += 1
        if what == "cancel":
            job.is_cancelled = True
            counters.cancelled += 1
            await exchange.answer(202, orjson.dumps({"status": "CANCELLATION_REQUESTED"}))
        elif what == "status":
            status = "COMPLETED" if job.is_done else "IN_PROGRESS"
            await exchange.answer(200, orjson.dumps({"status": status, "request_id": job_id}))
        elif not job.is_done:
            await exchange.answer(400, orjson.dumps({"detail": "Request is still in progress"}))
        else:
            links = job.links(exchange.header(b"host"))
            images = [{"url": url, "content_type": "image/png"} for url in links]
            flags = [job.is_blocked] * len(images)
            body = {"images": images, "has_nsfw_concepts": flags, "seed": 1}
            await exchange.answer(200, orjson.dumps(body))


def _latency(model: str) -> int:
    """Return the milliseconds that a model takes."""
    try:
        return parse(model).latency_ms
    except UnknownModelError:
        return 0
