"""The demo's own Waybill: a `waybill up` on free ports, in a temporary directory."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from cli.client.server import Server
from cli.start.demonstration import write_configuration

START_SECONDS = 45.0
STOP_SECONDS = 40.0
SHOWN_LINES = 30
SHOWN_CHARACTERS = 300


class DemoServerError(Exception):
    """The demo's Waybill did not start; the text contains its output."""


class DemoServer:
    """The processes of a demo."""

    def __init__(self, directory: Path, *, flower: bool) -> None:
        self._directory = directory
        self._log = directory / "up.log"
        self._flower = flower
        api, self._simulator, self._flower_port = _free_ports(3)
        self._port = api
        key = f"sk-demo-{secrets.token_urlsafe(24)}"
        self.server = Server(f"http://127.0.0.1:{api}", key, "the demo")

    @property
    def flower_url(self) -> str | None:
        return f"http://127.0.0.1:{self._flower_port}" if self._flower else None

    @contextlib.contextmanager
    def running(self, workers: int) -> Iterator[None]:
        """Run while the block runs; it is ready when the block starts. Raises DemoServerError."""
        with self._log.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  # our own program
                self._command(workers),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches this process only, which stops it in order
            )
        try:
            self._await_ready(process)
            yield
        finally:
            _stop(process)

    def _command(self, workers: int) -> list[str]:
        command = [sys.executable, "-P", "-m", "cli", "up", "--demo", f"--port={self._port}"]
        command += [f"--workers={workers}", f"--simulator-port={self._simulator}"]
        return command if self._flower else [*command, "--no-flower"]

    def _environment(self) -> dict[str, str]:
        """Return the environment without any settings of an installation."""
        config = self._directory / "waybill.toml"
        write_configuration(config, self._simulator)
        kept = {name: v for name, v in os.environ.items() if not name.startswith("WAYBILL_")}
        return kept | {
            "WAYBILL_CONFIG": str(config),
            "WAYBILL_ENV_FILE": "",
            "WAYBILL_DATA_DIR": str(self._directory / "data"),
            "WAYBILL_BOOTSTRAP_KEY": self.server.key,
            "WAYBILL_SECRET_KEY": secrets.token_urlsafe(32),
            "WAYBILL_FLOWER_PORT": str(self._flower_port),
        }

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        with httpx.Client(timeout=5, trust_env=False) as http:
            while not _is_ready(http, f"{self.server.url}/health/ready"):
                if process.poll() is not None:
                    raise DemoServerError(
                        f"`waybill up` ended by itself. Its output:\n{self.read_log()}"
                    )
                if time.monotonic() > deadline:
                    raise DemoServerError(
                        f"`waybill up` was not ready within {START_SECONDS:g} s. Its output:\n"
                        f"{self.read_log()}"
                    )
                time.sleep(0.1)

    def read_log(self) -> str:
        """Return the last lines of `waybill up`."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(line[:SHOWN_CHARACTERS] for line in lines[-SHOWN_LINES:]) or "(nothing)"


def _is_ready(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(url).is_success
    except httpx.TransportError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop `waybill up` and its children; kill them when they do not end in time."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
