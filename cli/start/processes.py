"""Processes as forks of one that has imported everything (`multiprocessing`'s fork server).

Importing takes seconds, forking milliseconds: `waybill up` is ready sooner, a part that died is
back at once, and all share the memory of what they have in common. The server imports and forks
only: no thread, loop or connection of its own is ever copied. Should it be killed, a new one is
there for the next fork; the kernel asks the forks of the old one to end.
"""

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import setproctitle

from broker.redaction import redact
from cli.messages import missing_package

Result = TypeVar("Result")

PR_SET_PDEATHSIG = 1
LOST = (ConnectionError, EOFError, BrokenExecutor)  # what a dying server's clients are told
TRIES = 20
AGAIN_SECONDS = 0.05
EXIT_CODE_SECONDS = 1.0  # until the server has told how a process ended
UNTOLD = 255  # an exit code; multiprocessing's own where the server is gone

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["cli.start.preloaded"])


class Fork:
    """A running fork, with the methods of `asyncio.subprocess.Process`.

    It has ended once nobody holds the other end of its pipe. The server says so too, but where it
    is killed it seems that all its forks have ended, and they are still at work.
    """

    def __init__(self, process: BaseProcess, pipe: "Connection[Any, Any]") -> None:
        self.returncode: int | None = None
        self._process = process
        self._pipe = pipe
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._loop.add_reader(pipe.fileno(), self._end)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None  # it was started
        return self._process.pid

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None  # it has ended
        return self.returncode

    def _end(self) -> None:
        self._loop.remove_reader(self._pipe.fileno())
        self._pipe.close()
        self._process.join(EXIT_CODE_SECONDS)
        code = self._process.exitcode
        self.returncode = UNTOLD if code is None else code
        self._ended.set()


async def fork(
    name: str,
    function: Callable[..., None],
    arguments: Mapping[str, Any],
    environment: Mapping[str, str],
) -> Fork:
    """Run `function(**arguments)` in a fork that is listed as `waybill <name>`."""

    async def start() -> Fork:
        ours, its = _context.Pipe(duplex=False)
        with its:
            asked = (its, name, function, arguments, dict(environment))
            process = _context.Process(target=_run, args=asked)
            process.start()
        return Fork(process, ours)

    return await _persisting(start)


async def ask(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return what `function(*arguments)` returns in a fork, or raise what it raises.

    It may run twice: what is asked is such that this does no harm.
    """
    loop = asyncio.get_running_loop()

    async def once() -> Result:
        with ProcessPoolExecutor(1, _context, _become, ("asked", dict(os.environ))) as pool:
            return await loop.run_in_executor(pool, function, *arguments)

    return await _persisting(once)


async def _persisting(do: Callable[[], Awaitable[Result]]) -> Result:
    """Do what needs the server; again where that was just killed, until it is known to be gone."""
    for _ in range(TRIES):
        with contextlib.suppress(*LOST):
            return await do()
        await asyncio.sleep(AGAIN_SECONDS)
    return await do()


def stop_with_parent() -> None:
    """Have the kernel stop this child should its parent be killed, as only Linux can (prctl(2)).

    Orphans would hold the ports and write to the same files as their successors.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _run(
    _pipe: "Connection[Any, Any]",  # held until the end
    name: str,
    function: Callable[..., None],
    arguments: Mapping[str, Any],
    environment: Mapping[str, str],
) -> None:
    _become(name, environment)
    try:
        function(**arguments)
    except ModuleNotFoundError as error:
        told = missing_package(error) or "".join(traceback.format_exception(error))
        sys.stderr.write(redact(f"waybill: {told}\n"))
        raise SystemExit(1) from None
    except Exception as error:  # noqa: BLE001  # printed here, as multiprocessing does not redact
        sys.stderr.write(redact("".join(traceback.format_exception(error))))
        raise SystemExit(1) from None


def _become(name: str, environment: Mapping[str, str]) -> None:
    """Be a part: Ctrl-C does not reach it, as the parts are stopped in order."""
    os.setsid()
    stop_with_parent()
    setproctitle.setproctitle(f"waybill {name}")
    os.environ.clear()
    os.environ.update(environment)
