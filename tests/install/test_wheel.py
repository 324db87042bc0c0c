"""The wheel, alone in an empty environment, starts in the directory of another project.

It takes minutes and asks a package index, so `make test-install` runs it, and CI.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.install.decoys import VARIABLES, Decoys, make_decoys
from tests.installation import REPOSITORY, clean_environment, free_ports, until

pytestmark = [pytest.mark.install, pytest.mark.timeout(600)]

PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")
KEY = "sk-wb-the-key-of-the-installed-one"
ENVIRONMENT = clean_environment() | VARIABLES
del ENVIRONMENT["WAYBILL_ENV_FILE"]


def run(*command: str | Path, **options: object) -> str:
    """Run a program; return what it printed, and fail with that where it fails."""
    ended = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> Path:
    """The `bin` of an environment that has the wheel and what it depends on, nothing else."""
    place = tmp_path_factory.mktemp("installed")
    run(sys.executable, *PIP, "wheel", "--no-deps", f"--wheel-dir={place}", REPOSITORY)
    (wheel,) = place.glob("*.whl")
    run(sys.executable, "-m", "venv", place / "venv")
    python = place / "venv/bin/python"
    run(python, *PIP, "install", "-c", REPOSITORY / "constraints.txt", wheel, cwd=place)
    run(python, *PIP, "check", cwd=place)
    return python.parent


@pytest.fixture
def decoys(tmp_path) -> Decoys:
    directory = tmp_path / "shop"
    directory.mkdir()
    return make_decoys(directory, tmp_path / "trace")


@dataclass
class Running:
    """A `waybill up --demo` of the installed wheel."""

    program: Path
    directory: Path
    port: int
    flower_port: int
    log: Path
    process: subprocess.Popen[bytes]

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return answers(f"http://127.0.0.1:{self.port}/health/ready") is not None

    def flower(self) -> str | None:
        return answers(f"http://127.0.0.1:{self.flower_port}/workers?refresh=1")

    def command(self, *words: str) -> str:
        """Run a command of Waybill where this one was started, as in a second terminal."""
        return run(self.program, *words, cwd=self.directory, env=ENVIRONMENT)


def answers(url: str) -> str | None:
    try:
        answer = httpx.get(url, timeout=10)
    except httpx.TransportError:
        return None
    return answer.text if answer.is_success else None


@pytest.fixture
def running(programs, decoys, tmp_path) -> Iterator[Running]:
    port, flower_port, simulator_port = free_ports(3)
    log = tmp_path / "up.log"
    ports = [f"--port={port}", f"--flower-port={flower_port}", f"--simulator-port={simulator_port}"]
    with (decoys.directory / ".env").open("a") as file:
        file.write(f"WAYBILL_BOOTSTRAP_KEY={KEY}\n")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [programs / "waybill", "up", "--demo", *ports],
            cwd=decoys.directory,
            env=ENVIRONMENT,
            stdout=output,
            stderr=output,
        )
    found = Running(programs / "waybill", decoys.directory, port, flower_port, log, process)
    try:
        until(found.is_ready, 90, lambda: f"not ready\n{log.read_text()}")
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
        assert "killing it" not in log.read_text()


def test_up_serves_a_call_and_flower_among_decoys(running, decoys):
    answer = httpx.post(
        f"http://127.0.0.1:{running.port}/api/v1/chat/completions",
        headers={"Authorization": f"Bearer {KEY}"},
        json={"model": "acme/small", "messages": [{"role": "user", "content": "Hello"}]},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert "read .env: WAYBILL_BOOTSTRAP_KEY\n" in running.log.read_text()
    assert answer.json()["choices"][0]["message"]["content"]
    until(
        lambda: "worker-1@" in (running.flower() or ""),
        60,
        lambda: f"Flower shows no worker: {running.flower()}\n{running.log.read_text()}",
    )
    assert "is ready" in running.command("doctor")
    assert "sim-swift" in running.command("providers", "check")
    assert " died " not in running.log.read_text()
    assert decoys.executed() == ""


def test_the_demo_runs_among_decoys(programs, decoys):
    shown = run(programs / "waybill", "demo", cwd=decoys.directory, env=ENVIRONMENT)
    assert "122 of 122 prompts were answered" in shown
    assert decoys.executed() == ""
    assert not os.path.lexists(decoys.directory / ".waybill")
