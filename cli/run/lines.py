"""Lines of a file as jobs: so many out at a time, each submitted once and fetched when it ended."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import httpx

from broker.completion import Json
from broker.states import AT_REST
from cli.remote.patient import PatientClient
from cli.remote.server import ServerError, message, refused
from cli.run.file import Line
from cli.run.key import RunKey

STOPPING = frozenset({401, 402, 403})  # what is wrong for one line is wrong for all


@dataclass(frozen=True, slots=True)
class Refusal:
    """The server did not take a line as a job."""

    message: str
    status: int


Ended = Callable[[Line, Json | Refusal], None]


class Pace:
    """When to look at a job again: about when it should be done, then less and less often."""

    FIRST, SHORTEST, LONGEST = 0.3, 0.1, 5.0

    def __init__(self) -> None:
        self._typical = self.FIRST

    def pause(self, waited: float, looks: int) -> float:
        """Return the seconds to the next look at a job submitted `waited` seconds ago."""
        seconds = 0.9 * self._typical if looks == 0 else 0.25 * waited
        jitter = random.uniform(0.8, 1.2)  # noqa: S311  # spreads the looks
        return min(max(seconds, self.SHORTEST), self.LONGEST) * jitter

    def ended(self, job: Json) -> None:
        """Learn from a job that ended: a moving average.

        Its own times count, not when we looked: else one late look would make all later ones late.
        """
        spent = [a.get("queued_ms", 0) + (a["duration_ms"] or 0) for a in job["attempts"]]
        self._typical += 0.1 * (sum(spent) / 1000 - self._typical)


class LineRunner:
    """Takes lines until there are none, on behalf of one run."""

    def __init__(self, http: PatientClient, key: RunKey, *, lane: str, on_end: Ended) -> None:
        self._http = http
        self._key = key
        self._lane = lane
        self._on_end = on_end
        self._pace = Pace()

    async def run(self, lines: Sequence[Line], max_in_flight: int) -> None:
        """Run all lines. Raises ServerError for what stops the whole run."""
        waiting = iter(lines)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(max_in_flight, len(lines))):
                    group.create_task(self._take(waiting))
        except* ServerError as errors:
            raise errors.exceptions[0] from None

    async def _take(self, waiting: Iterator[Line]) -> None:
        for line in waiting:
            self._on_end(line, await self._run(line))

    async def _run(self, line: Line) -> Json | Refusal:
        began, looks = time.monotonic(), 0
        job = await self._submit(line)
        if isinstance(job, Refusal):
            return job
        while job["status"] not in AT_REST:
            await asyncio.sleep(self._pace.pause(time.monotonic() - began, looks))
            looks += 1
            job = self._object(await self._http.ask("GET", f"/jobs/{job['id']}"))
        if looks:
            self._pace.ended(job)
        return job

    async def _submit(self, line: Line) -> Json | Refusal:
        response = await self._http.ask(
            "POST",
            "/jobs",
            headers={"Idempotency-Key": self._key.of(line)},
            json={
                "endpoint": "/v1/chat/completions",
                "body": line.body,
                "priority": self._lane,
                "metadata": {"run": self._key.id, "custom_id": line.custom_id},
            },
        )
        if response.is_client_error and response.status_code not in STOPPING:
            return Refusal(message(response), response.status_code)
        return self._object(response)

    def _object(self, response: httpx.Response) -> Json:
        if response.is_error:
            raise refused(self._http.server, response)
        try:
            answer: Json = response.json()
        except ValueError:
            url = self._http.server.url
            raise ServerError(f"{url} is not a Waybill: it answers no JSON") from None
        return answer
