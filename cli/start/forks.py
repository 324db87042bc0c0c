"""Processes as forks of one that has imported everything (`multiprocessing`'s fork server).

Importing takes seconds, forking milliseconds: `waybill up` is ready sooner, a part that died is
back at once, and all share the memory of what they have in common. The server imports and forks
only: no thread, loop or connection of its own is ever copied.
"""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import setproctitle

Result = TypeVar("Result")

PR_SET_PDEATHSIG = 1

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["cli.start.preloaded"])


class Fork:
    """A running fork, with the methods of `asyncio.subprocess.Process`."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._loop.add_reader(process.sentinel, self._end)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    async def wait(self) -> int:
        await self._ended.wait()
        self._process.join()
        assert self._process.exitcode is not None  # it has been waited for
        return self._process.exitcode

    def _end(self) -> None:
        self._loop.remove_reader(self._process.sentinel)
        self._ended.set()


def fork(
    name: str,
    function: Callable[..., None],
    arguments: Mapping[str, Any],
    environment: Mapping[str, str],
) -> Fork:
    """Run `function(**arguments)` in a fork that is listed as `waybill <name>`."""
    process = _context.Process(target=_run, args=(name, function, arguments, dict(environment)))
    process.start()
    return Fork(process)


async def ask(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return what `function(*arguments)` returns in a fork, or raise what it raises."""
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(1, _context, _become, ("asked", dict(os.environ))) as pool:
        return await loop.run_in_executor(pool, function, *arguments)


def stop_with_parent() -> None:
    """Have the kernel stop this child should its parent be killed, as only Linux can (prctl(2)).

    Orphans would hold the ports and write to the same files as their successors.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _run(
    name: str,
    function: Callable[..., None],
    arguments: Mapping[str, Any],
    environment: Mapping[str, str],
) -> None:
    _become(name, environment)
    function(**arguments)


def _become(name: str, environment: Mapping[str, str]) -> None:
    """Be a part: Ctrl-C does not reach it, as the parts are stopped in order."""
    os.setsid()
    stop_with_parent()
    setproctitle.setproctitle(f"waybill {name}")
    os.environ.clear()
    os.environ.update(environment)
