"""docker-compose.yml without Docker: its services as processes, on servers of this machine.

    python -m tests.compose      starts them, runs examples/prompts.jsonl through them, stops them

It needs a PostgreSQL in which it may make a database (WAYBILL_TEST_POSTGRES, by default
postgresql://root@127.0.0.1:5432/test) and the program redis-server.

What the file says is what runs: its commands, its environment, its order. Only the names of its
network (postgres, redis) are replaced by where those servers are on this machine.
"""

import argparse
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from dotenv import dotenv_values

from cli.start.demonstration import write_configuration
from tests.installation import KEY, REPOSITORY, clean_environment, free_ports, until
from tests.stacks import database, redis_database

FILE = REPOSITORY / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
START_SECONDS = 120
VARIABLES = {"WAYBILL_BOOTSTRAP_KEY": KEY}
STOP_SECONDS = 90


def services(variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the services of docker-compose.yml that are our own, with variables filled in."""
    text = VARIABLE.sub(lambda found: variables.get(found[1], found[2] or ""), FILE.read_text())
    every: dict[str, dict[str, Any]] = yaml.safe_load(text)["services"]
    return {name: service for name, service in every.items() if "build" in service}


def env_file(path: Path) -> dict[str, str]:
    """Return the variables of a file that `env_file` names."""
    return {name: value or "" for name, value in dotenv_values(path, interpolate=False).items()}


FLOWER_LOGIN = ("operator", "a-password-of-these-tests")
ADDED = frozenset({"WAYBILL_CONFIG", "WAYBILL_FLOWER_BASIC_AUTH", "WAYBILL_WORKER_ID"})


@dataclass
class Composition:
    """The processes of docker-compose.yml."""

    directory: Path
    database_url: str
    redis_url: str
    port: int
    flower_port: int
    simulator_port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        """Start the services: `migrate` first, as the others depend on its success."""
        found = services(VARIABLES)
        self._run("migrate", found.pop("migrate"))
        for name, service in found.items():
            self.processes[name] = self._start(name, service)
        until(self._is_ready, START_SECONDS, self.log)

    def is_healthy(self, name: str) -> bool:
        """Run the health check of a service once, as Docker does."""
        service = services(VARIABLES)[name]
        kind, program, *arguments = service["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "waybill")
        ended = subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            env=self._environment(name, service["environment"]),
            cwd=REPOSITORY,
            capture_output=True,
            check=False,
        )
        return ended.returncode == 0

    def stop(self, name: str) -> None:
        """Stop one service."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)

    def down(self) -> dict[str, int]:
        """Stop the services; return their exit codes."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        return {name: process.wait(STOP_SECONDS) for name, process in self.processes.items()}

    def _run(self, name: str, service: dict[str, Any]) -> None:
        assert self._start(name, service).wait(START_SECONDS) == 0, self.log()

    def _start(self, name: str, service: dict[str, Any]) -> subprocess.Popen[bytes]:
        with (self.directory / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "cli", *service["command"], *self._ports(name)],
                env=self._environment(name, service["environment"]),
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
            )

    def _ports(self, name: str) -> list[str]:
        ports = {"api": self.port, "flower": self.flower_port}
        return [f"--port={ports[name]}"] if name in ports else []

    def _environment(self, name: str, stated: Mapping[str, Any]) -> dict[str, str]:
        """Return the file's settings, with this machine's servers in place of its network's."""
        here = {
            "WAYBILL_DATABASE_URL": self.database_url,
            "WAYBILL_REDIS_URL": self.redis_url,
            "WAYBILL_BROKER_URL": self.redis_url,
            "WAYBILL_DATA_DIR": str(self.directory),
            "WAYBILL_CONFIG": str(self.directory / "waybill.toml"),
            "WAYBILL_FLOWER_BASIC_AUTH": ":".join(FLOWER_LOGIN),
            "WAYBILL_WORKER_ID": f"{name}-of-these-tests",  # here all have the same host name
        }
        assert here.keys() - ADDED <= stated.keys()
        found = {key: str(value) for key, value in stated.items()}
        return clean_environment() | env_file(FILE.parent / ".env.example") | found | here

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def log(self) -> str:
        """The last lines of what all processes said."""
        return "\n".join(path.read_text()[-2000:] for path in self.directory.glob("*.log"))


@contextmanager
def composed() -> Iterator[Composition]:
    """Run the services of docker-compose.yml, and a simulator, for as long as the block lasts."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wb", dir="/tmp")))
        ports = free_ports(3)
        postgres, redis = stack.enter_context(database()), stack.enter_context(redis_database())
        composition = Composition(directory, postgres, redis, *ports)
        write_configuration(directory / "waybill.toml", composition.simulator_port)
        simulator = subprocess.Popen(
            [sys.executable, "-m", "cli", "simulate", f"--port={composition.simulator_port}"],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
        )
        stack.callback(simulator.wait)
        stack.callback(simulator.terminate)
        stack.callback(composition.down)
        composition.up()
        yield composition


def run_prompts(composition: Composition, results: Path) -> int:
    """Run the examples' prompts as a user would; return the exit status of `waybill run`."""
    asked = {"WAYBILL_URL": composition.url, "WAYBILL_API_KEY": KEY}
    command = ["-m", "cli", "run", "examples/prompts.jsonl", "-m", "acme/small", "-o", str(results)]
    return subprocess.run(
        [sys.executable, *command], env=clean_environment() | asked, cwd=REPOSITORY, check=False
    ).returncode


def main() -> None:
    argparse.ArgumentParser(
        prog="python -m tests.compose",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    with composed() as composition:
        sys.stdout.write(f"{composition.url} is ready: {', '.join(composition.processes)}\n")
        sys.exit(run_prompts(composition, composition.directory / "results.jsonl"))


if __name__ == "__main__":
    main()
