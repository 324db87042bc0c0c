"""Pool of processes for computation on callers' data, which can be killed.

A caller chooses the input of a JSON Schema check, of a JSON repair, of the reading of a document.
Each of these can take hours or gigabytes for a few kilobytes of input, and a thread cannot be
stopped. So they run in a few processes with a memory limit, and are killed at their time limit.
Each workspace has a share of the processes, so that it delays only its own work.
"""

import asyncio
import ctypes
import multiprocessing
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import structlog
from pebble import ProcessExpired, ProcessPool

log = structlog.get_logger()

PROCESSES = 4
PER_WORKSPACE = 2
PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """The limits of each process of a pool."""

    memory_bytes: int = 1_500_000_000
    """Address space; about 250 MB of it are the interpreter and its libraries."""

    cpu_seconds: int = 900
    """Processor time in total. The kernel ends a process whose worker is gone."""

    tasks: int = 200
    """Tasks after which a process is replaced, because its libraries accumulate memory."""


USUAL_LIMITS = ProcessLimits()
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class SandboxError(Exception):
    """The computation failed. The text has the reason for the caller."""


class Sandbox:
    """The processes of one worker. They start with the first computation."""

    def __init__(
        self,
        *,
        processes: int = PROCESSES,
        per_workspace: int = PER_WORKSPACE,
        limits: ProcessLimits = USUAL_LIMITS,
    ) -> None:
        self._processes = processes
        self._limits = limits
        self._per_workspace = per_workspace
        self._pool: ProcessPool | None = None
        self._running: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    async def run(
        self,
        workspace_id: str,
        seconds: float,
        function: Callable[Parameters, Result],
        *arguments: Parameters.args,
        **options: Parameters.kwargs,
    ) -> Result:
        """Return what `function` returns in another process.

        The time counts from the start of the computation. Cancelling this call kills the process.
        Raises SandboxError where time or memory are used up or no process can be started, and the
        exceptions of `function`.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._has_room(workspace_id))
            self._running[workspace_id] += 1
        try:
            try:
                future = self._start().schedule(function, arguments, options, timeout=seconds)
            except (RuntimeError, OSError) as error:
                raise BrokenExecutor from error
            return await asyncio.wrap_future(future)  # its cancellation reaches the process
        except TimeoutError:
            raise SandboxError(f"it took more than {seconds:g} s") from None
        except MemoryError:
            raise SandboxError("it needed too much memory") from None
        except ProcessExpired as error:
            raise SandboxError(f"its process ended with code {error.exitcode}") from None
        except BrokenExecutor as error:
            log.warning("sandbox.broken", error=str(error.__cause__ or error))
            self._pool = None  # the next computation gets new processes
            raise SandboxError("no process for it could be started") from None
        finally:
            async with self._changed:
                self._running[workspace_id] -= 1
                self._running += Counter()  # drops those at zero
                self._changed.notify_all()

    def close(self) -> None:
        """Kill the running computations."""
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()

    def _has_room(self, workspace_id: str) -> bool:
        return (
            self._running[workspace_id] < self._per_workspace
            and self._running.total() < self._processes
        )

    def _start(self) -> ProcessPool:
        if self._pool is None:
            self._pool = ProcessPool(
                self._processes,
                max_tasks=self._limits.tasks,
                initializer=_confine,
                initargs=(os.getpid(), self._limits),
                context=multiprocessing.get_context("spawn"),  # a fork would inherit held locks
            )
        return self._pool


def _confine(parent: int, limits: ProcessLimits) -> None:
    """Limit this process, and make the kernel end it together with the worker."""
    _lower_limit(resource.RLIMIT_AS, limits.memory_bytes)
    _lower_limit(resource.RLIMIT_CPU, limits.cpu_seconds)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the worker ended before prctl
            sys.exit(1)


def _lower_limit(kind: int, most: int) -> None:
    """Lower a limit to `most`, or to the hard limit where that is lower."""
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(kind, (most, hard))
