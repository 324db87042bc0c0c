"""An installation under test: `waybill up --demo` in its own processes, used from outside."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import psutil

from tests.chaos.books import audit, unfinished
from tests.stacks import stack

Found = TypeVar("Found")
SECRETS = re.compile(r"sk-wb-[\w-]{20}|whsec_|whsk_|Bearer [\w-]{8}|\$argon2")

REPOSITORY = Path(__file__).parents[1]
KEY = "sk-wb-the-key-of-these-tests-0001"
START_SECONDS = 120
ENDED = frozenset({"completed", "failed", "cancelled", "expired", "needs_review"})
SIMULATED = (
    *("sim-judge", "sim-judgefirst"),
    *("sim", "sim-echo", "sim-words", "sim-tools", "sim-tools2", "sim-json", "sim-nousage"),
    *(
        "sim-lat200",
        "sim-lat500",
        "sim-lat1000",
        "sim-lat2000",
        "sim-lat4000",
        "sim-lat8000",
        "sim-lat20000",
    ),
    *(
        "sim-tok100",
        "sim-tok97-chunk5",
        "sim-echo-tok97-chunk5",
        "sim-tok60-chunk50",
        "sim-tok400-chunk50",
        "sim-fail2",
    ),
    *("sim-429-retry1", "sim-429-retry1800", "sim-429-retry3600", "sim-flaky50-retry1"),
    *("sim-500", "sim-401", "sim-400"),
    *("sim-503", "sim-context", "sim-reset", "sim-stall", "sim-freeze", "sim-cut", "sim-garbage"),
    *("sim-half", "sim-huge", "sim-errstream", "sim-null", "sim-echo-reason"),
)


class Installation:
    """One running installation. Its log is kept for the messages of failing tests."""

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        config: str | None = None,
        workers: int = 1,
        batch_workers: int = 0,  # a process more takes seconds to start
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="wb", dir="/tmp"))
        self.port, self.simulator_port, closed = free_ports(3)
        self.config = self.directory / "waybill.toml"
        self.config.write_text(configuration(self.simulator_port, closed) + (config or ""))
        self.data_dir = self.directory / "data"
        self._closing = ExitStack()
        self.stack = self._closing.enter_context(stack(self.data_dir))
        self.environment = clean_environment() | {
            "WAYBILL_CONFIG": str(self.config),
            "WAYBILL_DATA_DIR": str(self.data_dir),
            "WAYBILL_BOOTSTRAP_KEY": KEY,
            "WAYBILL_SIMULATOR_PORT": str(self.simulator_port),
            "WAYBILL_STREAM_DRAIN_SECONDS": "10",
            "WAYBILL_CANCEL_DRAIN_SECONDS": "1",
            **self.stack.settings,
            **(settings or {}),
        }
        self.arguments = ["up", "--demo", "--no-flower", f"--port={self.port}"]
        self.arguments += [f"--workers={workers}", f"--batch-workers={batch_workers}"]
        self.log_path = self.directory / "up.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(
            base_url=self.url, headers=self.headers, timeout=60, limits=httpx.Limits()
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.stop()
        self._closing.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None:
        """Start everything; return when it is ready to serve."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli", *self.arguments],
                env=self.environment,
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
            )
        try:
            self.await_ready()
        except BaseException:
            self.stop()
            raise

    def await_ready(self, seconds: float = START_SECONDS) -> None:
        until(self._is_ready, seconds, lambda: f"not ready\n{self.log()}")

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"`up` ended by itself\n{self.log()}"
        try:
            return httpx.get(f"{self.root}/health/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self, number: int = signal.SIGTERM, seconds: float = 60) -> int:
        """Stop everything as a user would; return the exit status."""
        if self.process is None:
            return 0
        family = [*psutil.Process(self.process.pid).children(recursive=True)] if self.alive else []
        if self.alive:
            self.process.send_signal(number)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"did not stop within {seconds} s\n{self.log()}") from None
        else:
            assert "did not stop within" not in self.log(), f"killed at the end\n{self.log()}"
            return status
        finally:
            self.process = None
            for orphan in psutil.wait_procs(family, timeout=5)[1]:
                orphan.kill()

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log(self) -> str:
        """The last lines of what all processes said."""
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return text[-6000:]

    def leaked(self) -> list[str]:
        """Lines of the whole log that hold a key, a webhook secret or a password of ours."""
        lines = self.log_path.read_text(errors="replace").splitlines()
        return [line for line in lines if KEY in line or SECRETS.search(line)]

    def children(self, word: str) -> list[psutil.Process]:
        """The processes whose role has `word` in it, e.g. the workers of both lanes."""
        assert self.process is not None
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [each for each in family if word in role(each)]

    def child(self, word: str) -> psutil.Process:
        """The one process whose role has `word` in it, e.g. worker, api, valkey."""
        (found,) = self.children(word)
        return found

    def kill(self, word: str) -> None:
        """End a child as a crash would."""
        victim = self.child(word)
        victim.kill()
        # its parent reaps it: only then is it known that its place is empty
        until(lambda: not victim.is_running(), 10, f"{word} would not die")

    def await_child(self, word: str, seconds: float = 30) -> psutil.Process:
        def found() -> psutil.Process | None:
            try:
                return self.child(word)
            except (ValueError, psutil.Error):
                return None

        def otherwise() -> str:
            ended = None if self.alive else getattr(self.process, "returncode", "stopped")
            return f"no {word} (`up` ended: {ended})\n{self.log()}"

        return until(found, seconds, otherwise)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.root}/api/v1"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {KEY}"}

    def submit(self, native: str = "sim", prompt: str = "Hello", **wish: Any) -> str:
        """Submit a job for a simulated model; return its id."""
        inside = wish.pop("body", {})
        answer = self.http.post("/jobs", json={"body": chat(native, prompt, **inside), **wish})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def await_job(
        self, job_id: str, states: Iterable[str] = ENDED, seconds: float = 30
    ) -> dict[str, Any]:
        """Return the job once it is in one of these states."""
        wanted = set(states)

        def found() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["status"] in wanted else None

        return until(found, seconds, lambda: f"{self.job(job_id)}\nnot {wanted}\n{self.log()}")

    def calls(self, text: str = "") -> dict[str, Any]:
        """Return the simulator's counts; `matching` are the calls with `text` in their body."""
        url = f"http://127.0.0.1:{self.simulator_port}/_calls"
        return dict(httpx.get(url, params={"body_contains": text}).json())

    @property
    def database_url(self) -> str:
        return self.stack.database_url

    @property
    def redis_url(self) -> str:
        embedded = f"unix://{self.data_dir / 'valkey.sock'}"
        return self.stack.settings.get("WAYBILL_REDIS_URL", embedded)

    def ask(self, query: str, *arguments: Any) -> list[Any]:
        """Answer a question about the database (`?` stands for an argument)."""
        return self.stack.ask(query, *arguments)

    def await_idle(self, seconds: float = 60) -> None:
        """Wait until nothing waits or runs."""
        until(
            lambda: unfinished(self.stack) == 0,
            seconds,
            lambda: f"{unfinished(self.stack)} jobs left\n{self.log()}",
        )

    def audit(self, job_ids: Iterable[str] | None = None) -> None:
        """Check that every ended job was held, and settled or released, exactly once."""
        audit(self.stack, job_ids)


def chat(native: str = "sim", prompt: str = "Hello", **more: Any) -> dict[str, Any]:
    return {"model": f"sim/{native}", "messages": [{"role": "user", "content": prompt}], **more}


def until(
    look: Callable[[], Found | None], seconds: float, otherwise: str | Callable[[], str]
) -> Found:
    """Return what `look` finds, as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(otherwise if isinstance(otherwise, str) else otherwise())
        time.sleep(0.02)
    return found


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that would configure Waybill.

    Processes keep compiled modules, whatever the shell says: tests start them by the hundred.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WAYBILL_", "OLLAMA_"))
        and not name.endswith("_API_KEY")
        and name != "PYTHONDONTWRITEBYTECODE"
    } | {"WAYBILL_ENV_FILE": ""}


def configuration(simulator_port: int, closed_port: int) -> str:
    """waybill.toml: the simulator under three names, and a provider that is not there.

    Nothing that fails is asked of `calm`.
    """
    providers = dict.fromkeys(("sim", "spare", "calm"), simulator_port) | {"gone": closed_port}
    tables = [
        f'[[providers]]\nslug = "{slug}"\nwire = "openai"\nmax_concurrency = 2000\n'
        f'base_url = "http://127.0.0.1:{port}/v1"\napi_key = "any"\n'
        for slug, port in providers.items()
    ]
    tables += [_model("sim", native) for native in SIMULATED]
    tables += [_model("spare", "sim-echo"), _model("gone", "sim")]
    return "\n".join(tables)


def _model(provider: str, native: str) -> str:
    endpoint = f'provider = "{provider}", model = "{native}", prompt = "0.15", completion = "0.60"'
    return f'[[models]]\nslug = "{provider}/{native}"\nendpoints = [{{ {endpoint} }}]\n'


def role(process: psutil.Process) -> str:
    """Return the role of a process: the text after `waybill`, or its program's name."""
    try:
        command = " ".join(process.cmdline()).strip("\0 ")
    except psutil.NoSuchProcess:  # it ends just now
        return ""
    return command.removeprefix("waybill ").split(" ")[0].rsplit("/")[-1]
