"""Child processes of `waybill up`: started, watched, started again, stopped in order."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.messages import say
from cli.start.processes import Fork, fork, stop_with_parent

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
    """A child that is a program of its own."""

    async def launch(environment: Mapping[str, str]) -> Running:
        return await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches us only; we stop the children in order
            preexec_fn=stop_with_parent,
        )

    return launch


def part(name: str, function: Callable[..., None], /, **arguments: Any) -> Launch:
    """A child that runs one of our own functions."""

    async def launch(environment: Mapping[str, str]) -> Running:
        return await fork(name, function, arguments, environment)

    return launch


def describe(code: int) -> str:
    """Return an exit status in words."""
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
