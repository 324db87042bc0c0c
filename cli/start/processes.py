"""Child processes of `waybill up`: started, watched, started again, stopped in order.

They are forks of a process that has imported everything (`multiprocessing`'s fork server).
"""

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import setproctitle

from broker.security.redaction import redact
from cli.messages import missing_package, say

Result = TypeVar("Result")

PR_SET_PDEATHSIG = 1
LOST = (ConnectionError, EOFError, BrokenExecutor)  # what a dying server's clients are told
TRIES = 20
AGAIN_SECONDS = 0.05
EXIT_CODE_SECONDS = 1.0  # until the server has told how a process ended
UNKNOWN_EXIT_CODE = 255  # an exit code; multiprocessing's own where the server is gone

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
        self.returncode = UNKNOWN_EXIT_CODE if code is None else code
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


async def call_in_fork(function: Callable[..., Result], *arguments: Any) -> Result:
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


RESTART_PAUSE_SECONDS = 0.5
RAPID_SECONDS = 10.0  # a child that lives shorter than this …
MAX_RAPID_DEATHS = 5  # … so many times in a row will not be helped by another start

Died = Callable[["Child"], Awaitable[None]]
Running = asyncio.subprocess.Process | Fork
Launch = Callable[[Mapping[str, str]], Awaitable[Running]]
"""Starts a process with this environment."""


class ChildDiedError(Exception):
    """A child cannot be kept alive."""


@dataclass
class Child:
    """One part of Waybill as a process."""

    name: str
    launch: Launch
    pid_file: Path
    environment: Callable[[], Mapping[str, str]] = dict  # asked at each start
    stop_seconds: float = 10.0
    process: Running | None = None
    started: dict[str, str] = field(default_factory=dict)  # the environment of this start
    rapid_deaths: int = 0
    hurried: bool = False  # it may not finish what it does
    dies_when_hurried: bool = False  # a second request to end does not make it any faster

    async def start(self) -> None:
        self.started = dict(self.environment())
        self.process = await self.launch({**os.environ, **self.started})
        with contextlib.suppress(OSError):  # a full disk: the child is there all the same
            self.pid_file.write_text(f"{self.process.pid}\n")

    async def watch(self, died: Died) -> None:
        """Keep the child alive. Raises ChildDiedError when it dies at every start."""
        while True:
            began = time.monotonic()
            assert self.process is not None  # started before it is watched
            code = await self.process.wait()
            self.pid_file.unlink(missing_ok=True)  # the number may soon be another process's
            rapid = time.monotonic() - began < RAPID_SECONDS
            self.rapid_deaths = self.rapid_deaths + 1 if rapid else 0
            say(f"{self.name} died ({describe(code)}); starting it again")
            if self.rapid_deaths >= MAX_RAPID_DEATHS:
                raise ChildDiedError(f"{self.name} dies at every start ({describe(code)})")
            await died(self)
            await asyncio.sleep(RESTART_PAUSE_SECONDS)
            await self.start()

    async def stop(self) -> None:
        """Ask the child to end; kill it when it does not in time."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        if self.hurried:
            self.hurry()
        try:
            async with asyncio.timeout(self.stop_seconds):
                await self.process.wait()
        except TimeoutError:
            say(f"{self.name} did not stop within {self.stop_seconds:g} s; killing it")
            self.process.kill()
            await self.process.wait()
        self.pid_file.unlink(missing_ok=True)

    def hurry(self) -> None:
        """End a child that was asked to stop, without what it still does."""
        self.hurried = True
        if self.process is None or self.process.returncode is not None:
            return
        if self.dies_when_hurried:
            self.process.kill()
        else:
            self.process.terminate()


def program(command: Sequence[str]) -> Launch:
    """Start a child process that runs another program."""

    async def launch(environment: Mapping[str, str]) -> Running:
        return await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches us only; we stop the children in order
            preexec_fn=stop_with_parent,
        )

    return launch


def part(name: str, function: Callable[..., None], /, **arguments: Any) -> Launch:
    """Start a child process that runs a function."""

    async def launch(environment: Mapping[str, str]) -> Running:
        return await fork(name, function, arguments, environment)

    return launch


def describe(code: int) -> str:
    """Return an exit status in words."""
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
