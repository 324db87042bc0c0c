"""The attempts that this process runs: their leases, and the ways to stop their calls."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from broker.completion import AttemptAnswer, BackgroundAnswer
from broker.lifecycle import ClaimedJob

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class AttemptHandle:
    """An attempt that this process runs, from its claim until its end is recorded."""

    number: int
    call: "asyncio.Future[AttemptAnswer] | None" = None  # the call to the provider, while it runs
    is_streaming: bool = False  # the caller has received a part of the answer
    is_cancelled: bool = False  # the caller cancelled the job
    awaits_usage: bool = False  # the provider of the cancelled call may still state its usage
    background: BackgroundAnswer | None = None  # stored, so that the next attempt can fetch it
    is_left: bool = False  # the call is stopped here, and the next attempt continues it

    @property
    def goes_on(self) -> bool:
        """Return whether the provider goes on with the answer of the stopped call."""
        return self.is_left and self.background is not None

    def stop(self) -> None:
        """Stop the call, if there is one now."""
        if self.call is not None:
            self.call.cancel()


class RunningAttempts:
    """All attempts that this process runs, by job."""

    def __init__(self) -> None:
        self.is_stopping = False  # no call may begin
        self._handles: dict[str, AttemptHandle] = {}

    @contextmanager
    def add(self, job: ClaimedJob) -> Iterator[AttemptHandle]:
        """Renew the lease of the job and accept its cancellation, for the block."""
        handle = self._handles[job.id] = AttemptHandle(job.attempt, background=job.background)
        try:
            yield handle
        finally:
            if self._handles.get(job.id) is handle:  # otherwise a later attempt runs here, too
                del self._handles[job.id]

    def leases(self) -> dict[str, int]:
        """Return the number of each attempt whose lease is to be renewed, by job id."""
        return {job_id: handle.number for job_id, handle in self._handles.items()}

    def calls(self) -> "list[asyncio.Future[AttemptAnswer]]":
        """Return the calls that run now."""
        return [handle.call for handle in self._handles.values() if handle.call is not None]

    def cancel(self, job_id: str, *, awaits_usage: bool) -> None:
        """Stop the attempt of a job that its caller cancelled.

        A repeated cancellation stops the call at once, unless it awaits the usage as well.
        """
        handle = self._handles.get(job_id)
        if handle is None or (handle.is_cancelled and awaits_usage):
            return
        handle.is_cancelled = True
        handle.awaits_usage = awaits_usage
        handle.stop()

    def stop_lost(self, job_id: str) -> None:
        """Stop an attempt whose lease is lost: another worker has the job, or it has ended."""
        handle = self._handles.get(job_id)
        if handle is not None and handle.call is not None:
            log.warning("worker.lease_lost", job=job_id)
            handle.is_left = True
            handle.stop()

    def interrupt(self, *, streams: bool) -> None:
        """Let no call begin, and stop the calls; those that stream only with `streams`."""
        self.is_stopping = True
        for handle in self._handles.values():
            if streams or not handle.is_streaming:
                handle.is_left = True
                handle.stop()

    async def wait(self, seconds: float) -> None:
        """Wait until the calls that run now have ended, for `seconds` at most."""
        calls = self.calls()
        if calls:
            await asyncio.wait(calls, timeout=seconds)
