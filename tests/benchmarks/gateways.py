"""Gateways in processes of their own on one core, all of them before the same provider."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx
import psutil

from tests.installation import KEY, REPOSITORY, clean_environment, free_ports, role, until
from tests.stacks import Stack, stack

MODEL = "bench/echo"
START_SECONDS = 180
STOP_SECONDS = 30
LITELLM_VERSION = "1.106.12"
PORTKEY_VERSION = "1.15.2"
PORTKEY_PACKAGE = {
    "dependencies": {"@portkey-ai/gateway": PORTKEY_VERSION},
    "overrides": {"@hono/node-server": "1.14.1"},
}
"""With a newer server every stream fails: https://github.com/Portkey-AI/gateway/issues/1389."""


@dataclass
class Gateway:
    """A running gateway: how to call it, and the processes that it consists of."""

    name: str
    url: str  # of chat completions
    headers: Mapping[str, str] = field(default_factory=dict)
    roots: Sequence[psutil.Process] = ()
    database: Stack | None = None

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Return all its processes by role, e.g. api, worker-1, valkey-server."""
        family = [each for root in self.roots for each in (root, *root.children(recursive=True))]
        found: dict[str, list[psutil.Process]] = {}
        for each in family:
            found.setdefault(role(each), []).append(each)
        return found

    def servers(self) -> dict[str, list[psutil.Process]]:
        """Return the processes of servers that it uses and that others may use, too."""
        if self.database is None or not self.database.settings:
            return {}
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        backends = [row[0] for row in self.database.ask(query)]
        return {
            "postgres": [psutil.Process(pid) for pid in backends if psutil.pid_exists(pid)],
            "rabbitmq": [each for each in psutil.process_iter() if each.name() == "beam.smp"],
        }

    def pause(self) -> None:
        """Stop its processes where they are, so that they use no CPU time."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for processes in self.processes().values():
            for each in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.send_signal(number)


@contextlib.contextmanager
def on_core(number: int) -> Iterator[None]:
    """Let what is started here run on this core only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {number})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def call_once(gateway: Gateway) -> None:
    """Make one call. Raises HTTPStatusError where it fails."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    answer = httpx.post(gateway.url, json=body, headers=dict(gateway.headers), timeout=60)
    answer.raise_for_status()


def pin(processes: Iterable[psutil.Process], number: int) -> None:
    """Move processes of a server to a core, where that is permitted."""
    for each in processes:
        with contextlib.suppress(psutil.Error):
            each.cpu_affinity([number])


@contextlib.contextmanager
def upstream() -> Iterator[str]:
    """Run the provider that answers at once; give its base URL."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.benchmarks.upstream", str(port)]
    with _log() as log, _running(command, cwd=REPOSITORY, log=log) as process:
        _await(f"http://127.0.0.1:{port}/", process, log)
        yield f"http://127.0.0.1:{port}/v1"


@contextlib.contextmanager
def waybill(
    upstream_url: str,
    *,
    name: str = "Waybill",
    source: Path = REPOSITORY,
    at_scale: bool = False,
    batch_workers: int = 0,
    workers: int = 1,
    config: str = "",
) -> Iterator[Gateway]:
    """Run the Waybill of a checkout, which has its own .venv, on a stack of its own.

    `config` is added to waybill.toml.
    """
    with _directory() as directory, contextlib.ExitStack() as closing:
        (port,) = free_ports(1)
        config_file, data_dir = directory / "waybill.toml", directory / "data"
        config_file.write_text(WAYBILL_TOML.format(url=upstream_url, model=MODEL) + config)
        before = psutil.Process().children()
        stores = closing.enter_context(stack(data_dir, at_scale=at_scale))
        log = closing.enter_context(_log())
        environment = clean_environment() | {
            "PYTHONPATH": str(source),  # its .venv may have another checkout installed
            "WAYBILL_CONFIG": str(config_file),
            "WAYBILL_DATA_DIR": str(data_dir),
            "WAYBILL_BOOTSTRAP_KEY": KEY,
            "WAYBILL_ALLOWED_NETWORKS": "127.0.0.0/8",
            "WAYBILL_WORKER_CONCURRENCY": "2000",
            "WAYBILL_STREAM_DRAIN_SECONDS": "1",
            "WAYBILL_CANCEL_DRAIN_SECONDS": "1",
            **stores.settings,
        }
        command = [str(source / ".venv/bin/python"), "-m", "cli", "up", "--no-flower"]
        command += [f"--port={port}", f"--workers={workers}", f"--batch-workers={batch_workers}"]
        running = _running(command, cwd=source, environment=environment, log=log)
        process = closing.enter_context(running)
        _await(f"http://127.0.0.1:{port}/health/ready", process, log)
        roots = [each for each in psutil.Process().children() if each not in before]
        url = f"http://127.0.0.1:{port}/api/v1/chat/completions"
        yield Gateway(name, url, bearer(KEY), roots, stores)


WAYBILL_TOML = """
[[providers]]
slug = "bench"
wire = "openai"
base_url = "{url}"
api_key = "any"
max_concurrency = 2000

[[models]]
slug = "{model}"
endpoints = [{{ provider = "bench", model = "{model}", prompt = "0.15", completion = "0.60" }}]

[[models]]
slug = "bench/held"
endpoints = [{{ provider = "bench", model = "bench/held", prompt = "0.15", completion = "0.60" }}]
"""


@contextlib.contextmanager
def litellm(upstream_url: str, installed: Path) -> Iterator[Gateway]:
    """Run LiteLLM's proxy with one key and without a database; install it where it is missing."""
    home = installed / "litellm"
    if not (home / "bin/litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        pip = [home / "bin/pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += [f"litellm[proxy]=={LITELLM_VERSION}"]
        subprocess.run(pip, check=True)
    with _directory() as directory, _log() as log:
        (port,) = free_ports(1)
        config = directory / "config.yaml"
        config.write_text(LITELLM_YAML.format(url=upstream_url, model=MODEL, key=KEY))
        command = [str(home / "bin/litellm"), f"--config={config}", "--host=127.0.0.1"]
        command += [f"--port={port}", "--num_workers=1", "--telemetry=False"]
        environment = clean_environment() | {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"}
        with _running(command, cwd=directory, environment=environment, log=log) as root:
            _await(f"http://127.0.0.1:{port}/health/liveliness", root, log)
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            yield Gateway(f"LiteLLM {LITELLM_VERSION}", url, bearer(KEY), [root])


LITELLM_YAML = """
model_list:
  - model_name: {model}
    litellm_params: {{ model: "openai/{model}", api_base: "{url}", api_key: any }}
litellm_settings: {{ set_verbose: false, drop_params: false }}
general_settings: {{ master_key: {key} }}
"""


@contextlib.contextmanager
def portkey(upstream_url: str, installed: Path) -> Iterator[Gateway]:
    """Run Portkey's gateway, which needs no key of its own; install it where it is missing."""
    home = installed / "portkey"
    program = home / "node_modules/@portkey-ai/gateway/build/start-server.js"
    if not program.exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text(json.dumps(PORTKEY_PACKAGE))
        npm = ["npm", "install", "--silent", "--no-fund", "--no-audit", f"--prefix={home}"]
        subprocess.run(npm, check=True)
    (port,) = free_ports(1)
    command = ["node", str(program), f"--port={port}", "--headless"]
    environment = clean_environment() | {
        "TRUSTED_CUSTOM_HOSTS": "127.0.0.1",
        "NODE_ENV": "production",
    }
    with _log() as log, _running(command, cwd=home, environment=environment, log=log) as root:
        _await(f"http://127.0.0.1:{port}/", root, log)
        headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": upstream_url}
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        yield Gateway(f"Portkey {PORTKEY_VERSION}", url, bearer("any") | headers, [root])


def bearer(key: str) -> dict[str, str]:
    """Return the header with an API key."""
    return {"Authorization": f"Bearer {key}"}


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="wb", dir="/tmp"))  # a socket's path must be short
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _log() -> Iterator[IO[bytes]]:
    """Open a file for what a gateway prints."""
    with tempfile.TemporaryFile() as log:
        yield log


@contextlib.contextmanager
def _running(
    command: Sequence[str],
    *,
    cwd: Path,
    log: IO[bytes],
    environment: Mapping[str, str] | None = None,
) -> Iterator[psutil.Process]:
    """Run a command; at the end ask it to stop, and kill it when it does not."""
    process = psutil.Popen(command, cwd=cwd, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            for each in (*process.children(recursive=True), process):
                each.kill()


def _await(url: str, process: psutil.Process, log: IO[bytes]) -> None:
    """Wait until this address answers. Raises AssertionError with the log where it does not."""

    def is_ready() -> bool:
        assert process.is_running(), say()
        assert process.status() != psutil.STATUS_ZOMBIE, say()
        try:
            return httpx.get(url).status_code == 200
        except httpx.HTTPError:
            return False

    def say() -> str:
        log.seek(0)
        return f"{url} does not answer\n{log.read()[-6000:].decode(errors='replace')}"

    until(is_ready, START_SECONDS, say)
