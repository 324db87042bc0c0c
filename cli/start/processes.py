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
from cli.messages import describe_missing_package, print_message

Result = TypeVar("Result")

PR_SET_PDEATHSIG = 1
SERVER_LOST = (
    ConnectionError,
    EOFError,
    BrokenExecutor,
)  # what clients of a dying fork server receive
MAX_TRIES = 20
RETRY_SECONDS = 0.05
EXIT_CODE_SECONDS = 1.0  # until the fork server has reported an exit code
UNKNOWN_EXIT_CODE = 255  # an exit code; multiprocessing's own where the server is gone

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["cli.start.preloaded"])


class Fork:
    """A running fork, with the methods of `asyncio.subprocess.Process`.

    It has ended when the other end of its pipe is closed. The fork server reports ends, too, but
    when it is killed, it seems that all its forks have ended although they still run.
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
            arguments_of_fork = (its, name, function, arguments, dict(environment))
            process = _context.Process(target=_run, args=arguments_of_fork)
            process.start()
        return Fork(process, ours)

    return await _retry_while_lost(start)


async def call_in_fork(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return what `function(*arguments)` returns in a fork, or raise what it raises.

    It may run twice, so the function must be safe to repeat.
    """
    loop = asyncio.get_running_loop()

    async def once() -> Result:
        with ProcessPoolExecutor(1, _context, _prepare_fork, ("step", dict(os.environ))) as pool:
            return await loop.run_in_executor(pool, function, *arguments)

    return await _retry_while_lost(once)


async def _retry_while_lost(start: Callable[[], Awaitable[Result]]) -> Result:
    """Run `start`; repeat it while the fork server is lost, until a new one runs."""
    for _ in range(MAX_TRIES):
        with contextlib.suppress(*SERVER_LOST):
            return await start()
        await asyncio.sleep(RETRY_SECONDS)
    return await start()


def stop_with_parent() -> None:
    """Have the kernel stop this child when its parent is killed (prctl(2), only on Linux).

    Otherwise an orphan would use the ports and files of its successor.
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
    _prepare_fork(name, environment)
    try:
        function(**arguments)
    except ModuleNotFoundError as error:
        message = describe_missing_package(error) or "".join(traceback.format_exception(error))
        sys.stderr.write(redact(f"waybill: {message}\n"))
        raise SystemExit(1) from None
    except Exception as error:  # noqa: BLE001  # printed here, as multiprocessing does not redact
        sys.stderr.write(redact("".join(traceback.format_exception(error))))
        raise SystemExit(1) from None


def _prepare_fork(name: str, environment: Mapping[str, str]) -> None:
    """Set up a fork. Ctrl-C does not reach it, because `up` stops the parts in order."""
    os.setsid()
    stop_with_parent()
    setproctitle.setproctitle(f"waybill {name}")
    os.environ.clear()
    os.environ.update(environment)


RESTART_PAUSE_SECONDS = 0.5
RAPID_SECONDS = 10.0  # a child that lives shorter than this …
MAX_RAPID_DEATHS = 5  # … so many times in a row is not started again

OnDeath = Callable[["Child"], Awaitable[None]]
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
    environment: Callable[[], Mapping[str, str]] = dict  # called at each start
    stop_seconds: float = 10.0
    process: Running | None = None
    started: dict[str, str] = field(default_factory=dict)  # the environment of this start
    rapid_deaths: int = 0
    hurried: bool = False  # it may not finish its work
    dies_when_hurried: bool = False  # a second SIGTERM does not make it faster

    async def start(self) -> None:
        self.started = dict(self.environment())
        self.process = await self.launch({**os.environ, **self.started})
        with contextlib.suppress(OSError):  # a full disk: the child runs nevertheless
            self.pid_file.write_text(f"{self.process.pid}\n")

    async def watch(self, on_death: OnDeath) -> None:
        """Keep the child alive. Raises ChildDiedError when it dies at every start."""
        while True:
            began = time.monotonic()
            assert self.process is not None  # started before it is watched
            code = await self.process.wait()
            self.pid_file.unlink(missing_ok=True)  # another process may get the number
            rapid = time.monotonic() - began < RAPID_SECONDS
            self.rapid_deaths = self.rapid_deaths + 1 if rapid else 0
            print_message(f"{self.name} died ({describe(code)}); starting it again")
            if self.rapid_deaths >= MAX_RAPID_DEATHS:
                raise ChildDiedError(f"{self.name} dies at every start ({describe(code)})")
            await on_death(self)
            await asyncio.sleep(RESTART_PAUSE_SECONDS)
            await self.start()

    async def stop(self) -> None:
        """Terminate the child; kill it when it does not end in time."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        if self.hurried:
            self.hurry()
        try:
            async with asyncio.timeout(self.stop_seconds):
                await self.process.wait()
        except TimeoutError:
            print_message(f"{self.name} did not stop within {self.stop_seconds:g} s; killing it")
            self.process.kill()
            await self.process.wait()
        self.pid_file.unlink(missing_ok=True)

    def hurry(self) -> None:
        """End a stopping child without its remaining work."""
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
            start_new_session=True,  # Ctrl-C reaches only `up`, which stops the children
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
