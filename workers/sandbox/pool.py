"""Run computation on callers' data in processes that can be killed.

A caller chooses the input of a JSON Schema check, of a JSON repair and of a PDF's text extraction.
Each of these can take hours or gigabytes for a few kilobytes of input, and a thread cannot be
stopped. So they run in a few processes with a limit of memory; whatever exceeds its time is killed.
Each workspace has a share of the processes: what one of them sends delays its own work, and no
other's.
"""

import asyncio
import multiprocessing
import resource
from collections import Counter
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from pebble import ProcessExpired, ProcessPool

PROCESSES = 4
PER_WORKSPACE = 2
MEMORY_BYTES = 1_500_000_000
"""Address space of one process; about 250 MB of it are the interpreter and its libraries."""

TASKS_PER_PROCESS = 200
"""A process is replaced after so many tasks, so that what its libraries keep does not add up."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class SandboxError(Exception):
    """The computation did not end well; the text says why, in words for the caller."""


class Sandbox:
    """The processes of one worker. They start when the first computation comes."""

    def __init__(self, *, processes: int = PROCESSES, per_workspace: int = PER_WORKSPACE) -> None:
        self._processes = processes
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

        The time counts from the moment at which the computation begins. Cancelling this call kills
        the process. Raises SandboxError where time or memory are used up, and whatever `function`
        raises.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._has_room(workspace_id))
            self._running[workspace_id] += 1
        try:
            future = self._start().schedule(function, arguments, options, timeout=seconds)
            return await asyncio.wrap_future(future)  # its cancellation reaches the process
        except TimeoutError:
            raise SandboxError(f"it took more than {seconds:g} s") from None
        except MemoryError:
            raise SandboxError("it needed too much memory") from None
        except ProcessExpired as error:
            raise SandboxError(f"its process ended with code {error.exitcode}") from None
        finally:
            async with self._changed:
                self._running[workspace_id] -= 1
                self._running += Counter()  # drops those at zero
                self._changed.notify_all()

    def close(self) -> None:
        """Kill what still runs."""
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
                max_tasks=TASKS_PER_PROCESS,
                initializer=_limit_memory,
                initargs=(MEMORY_BYTES,),
                context=multiprocessing.get_context("spawn"),  # a fork would inherit held locks
            )
        return self._pool


def _limit_memory(most: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
