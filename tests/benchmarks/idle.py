"""Start-up and rest: the CPU time until a process is ready, its CPU share at rest, its memory."""

import argparse
import contextlib
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import psutil
from celery import Celery
from redis import Redis
from rich.console import Console
from rich.table import Table

from tests.installation import REPOSITORY, clean_environment, free_ports, until
from tests.valkey import running_valkey

SECONDS = 30.0
SETTLING_SECONDS = 10.0
"""The pause between readiness and the measurement at rest: caches fill, first looks pass."""

START_SECONDS = 120
MODULES = [sys.executable, "-m", "cli"]

console = Console(width=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of the rest")
    parser.add_argument("--starts", type=int, default=3, help="starts of each command; the best")
    arguments = parser.parse_args()
    console.print(
        f"{platform.machine()}, {psutil.cpu_count()} cores, Python {platform.python_version()}"
    )
    measure_commands(arguments.starts)
    measure_installation(arguments.seconds)


def measure_commands(starts: int) -> None:
    """Print the CPU time of each command by itself, until it is ready."""
    table = Table("command", "CPU s until ready", title="Started one by one")
    for name, measure in COMMANDS.items():
        table.add_row(f"waybill {name}", f"{min(measure() for _ in range(starts)):.2f}")
    console.print(table)


def measure_help() -> float:
    """Return the CPU seconds of `waybill --help`."""
    before = os.times()
    subprocess.run(
        [*MODULES, "--help"],
        cwd=REPOSITORY,
        env=clean_environment(),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    after = os.times()
    used = after.children_user + after.children_system
    return used - before.children_user - before.children_system


def measure_api() -> float:
    with _environment() as environment:
        (port,) = free_ports(1)
        with _running(["api", f"--port={port}"], environment) as process:
            return _cpu_when(process, lambda: _answers(f"http://127.0.0.1:{port}/health/live"))


def measure_worker() -> float:
    with _environment() as environment, _running(["worker"], environment) as process:
        return _cpu_when(process, lambda: _has_worker(environment["WAYBILL_REDIS_URL"]))


def measure_dispatcher() -> float:
    with (
        _environment() as environment,
        Redis.from_url(environment["WAYBILL_REDIS_URL"]) as redis,
        _running(["dispatcher"], environment) as process,
    ):
        return _cpu_when(process, lambda: redis.exists("waybill:dispatcher"))


def measure_flower() -> float:
    with _environment() as environment, _running(["worker"], environment):
        until(lambda: _has_worker(environment["WAYBILL_REDIS_URL"]), START_SECONDS, "no worker")
        (port,) = free_ports(1)
        with _running(["flower", f"--port={port}"], environment) as process:
            return _cpu_when(process, lambda: _answers(f"http://127.0.0.1:{port}/healthcheck"))


COMMANDS: Mapping[str, Callable[[], float]] = {
    "--help": measure_help,
    "api": measure_api,
    "worker": measure_worker,
    "dispatcher": measure_dispatcher,
    "flower": measure_flower,
}


def measure_installation(seconds: float) -> None:
    """Print CPU time until ready, CPU share at rest and memory of each process of `waybill up`."""
    with tempfile.TemporaryDirectory(prefix="wb", dir="/tmp") as directory:
        port, flower_port = free_ports(2)
        environment = _settings(Path(directory))
        began = time.monotonic()
        arguments = ["up", f"--port={port}", f"--flower-port={flower_port}"]
        with _running(arguments, environment) as supervisor:
            for url in (f"{port}/health/ready", f"{flower_port}/healthcheck"):
                address = f"http://127.0.0.1:{url}"
                until(lambda address=address: _answers(address), START_SECONDS, "not ready")
            ready = time.monotonic() - began
            family = {name: pid for pid, name in _family(supervisor)}
            started = {name: _cpu(pid) for name, pid in family.items()}
            time.sleep(SETTLING_SECONDS)
            before = {name: _cpu(pid) for name, pid in family.items()}
            wakes = {name: _wakes(pid) for name, pid in family.items()}
            time.sleep(seconds)
            table = Table(
                "process",
                "CPU s until ready",
                "% of a core at rest",
                "wakes/s",
                "PSS MB",
                "private MB",
                title=f"`waybill up` at rest ({seconds:g} s), ready after {ready:.1f} s",
            )
            for name, pid in family.items():
                pss, private = _memory(pid)
                table.add_row(
                    name,
                    f"{started[name]:.2f}",
                    f"{(_cpu(pid) - before[name]) / seconds * 100:.2f}",
                    f"{(_wakes(pid) - wakes[name]) / seconds:.0f}",
                    f"{pss:.0f}",
                    f"{private:.0f}",
                )
            table.add_row("total", f"{sum(started.values()):.2f}")
            console.print(table)


@contextlib.contextmanager
def _environment() -> Iterator[dict[str, str]]:
    """Make a migrated database and a Valkey; give the environment of a process that uses them."""
    with (
        tempfile.TemporaryDirectory(prefix="wb", dir="/tmp") as directory,
        running_valkey() as redis_url,
    ):
        environment = _settings(Path(directory)) | {"WAYBILL_REDIS_URL": redis_url}
        subprocess.run(
            [*MODULES, "migrate"],
            cwd=REPOSITORY,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        yield environment


def _settings(directory: Path) -> dict[str, str]:
    config = directory / "waybill.toml"
    config.write_text(
        '[[providers]]\nslug = "quiet"\nwire = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n'
        'api_key = "any"\n'
    )
    return clean_environment() | {
        "WAYBILL_CONFIG": str(config),
        "WAYBILL_DATA_DIR": str(directory / "data"),
    }


@contextlib.contextmanager
def _running(arguments: list[str], environment: Mapping[str, str]) -> Iterator[psutil.Process]:
    process = subprocess.Popen(
        [*MODULES, *arguments],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _cpu_when(process: psutil.Process, is_ready: Callable[[], object]) -> float:
    """Return the CPU seconds of a process at the moment when it is ready."""
    until(lambda: not process.is_running() or is_ready(), START_SECONDS, "not ready")
    return _cpu(process.pid)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.HTTPError:
        return False


def _has_worker(redis_url: str) -> bool:
    """Return whether a worker answers Celery's ping: it consumes."""
    app = Celery(broker=redis_url.replace("unix://", "redis+socket://"))
    return bool(app.control.ping(timeout=0.2))


def _family(supervisor: psutil.Process) -> Iterator[tuple[int, str]]:
    """Yield the process ids and names of the supervisor and its descendants."""
    yield supervisor.pid, "supervisor"
    for process in supervisor.children(recursive=True):
        command = " ".join(process.cmdline()).strip("\0 ")
        if "resource_tracker" in command:
            name = "resource tracker"
        elif "forkserver" in command:
            name = "fork server"
        else:
            name = command.removeprefix("waybill ").split(" ")[0].rsplit("/")[-1]
        yield process.pid, name


def _cpu(pid: int) -> float:
    """Return the CPU seconds of a process so far, without those of its children."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _wakes(pid: int) -> int:
    """Return how often the threads of a process have left a wait so far."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with contextlib.suppress(OSError):
            for line in status.read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split()[1])
    return total


def _memory(pid: int) -> tuple[float, float]:
    """Return the proportional set size of a process and its private memory, in MB."""
    sizes: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size, _ = line.split()
        sizes[name] = int(size)
    private = sizes["Private_Clean:"] + sizes["Private_Dirty:"]
    return sizes["Pss:"] / 1024, private / 1024


if __name__ == "__main__":
    main()
