"""A disk that is full, a Redis that is away: refused by name, and back at once when they are."""

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from redis import Redis, RedisError

from broker.settings import Settings
from cli.start.valkey import valkey_command
from tests.chaos.load import await_all, submit_many
from tests.installation import Installation, chat, until
from tests.stacks import embedded_only

pytestmark = [pytest.mark.chaos, embedded_only]

BACK_SECONDS = 2.0


@contextlib.contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    directory.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "waybill-test", str(directory)]
    try:
        mounted = subprocess.run(command, check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no mount here")
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def fill(path: Path) -> None:
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass


def ask(installation: Installation, prompt: str = "x" * 3000) -> httpx.Response:
    return installation.http.post("/chat/completions", json=chat("sim-echo", prompt))


def test_a_full_disk_is_borne() -> None:
    installation = Installation(batch_workers=1)
    with small_disk(installation.data_dir), installation:
        assert ask(installation).status_code == 200
        job_ids = submit_many(installation, 5, "sim-lat4000")
        until(lambda: installation.calls()["in_flight"] == 5, 20, "not all are under way")
        parts = {child.pid for child in installation.children("")}
        said = installation.log_path.stat().st_size
        # When there is no room, while answers come that are paid for
        until_full = time.monotonic() + 12
        while time.monotonic() < until_full:
            fill(installation.data_dir / "filler")
            refused = ask(installation)
            assert refused.status_code == 507, refused.text
            assert refused.headers["retry-after"] == "30"
            assert refused.json()["error"]["metadata"]["error_type"] == "storage_full"
            time.sleep(0.2)
        # Then no part has died, and the log says what is wrong in few lines
        log = installation.log_path.read_text()[said:]
        assert "Traceback" not in log
        assert " died " not in log
        assert "disk is full" in log
        assert log.count("\n") < 60, log
        assert {child.pid for child in installation.children("")} >= parts
        # And with room again, work goes on by itself
        (installation.data_dir / "filler").unlink()
        freed = time.monotonic()
        until(lambda: ask(installation).status_code == 200, 20, "no answer")
        assert time.monotonic() - freed < BACK_SECONDS
        jobs = await_all(installation, job_ids, 90)
        assert {job["status"] for job in jobs} == {"completed"}


class Valkey:
    """A server that the test stops and starts, beside the installation."""

    def __init__(self, directory: Path) -> None:
        self.settings = Settings(data_dir=directory)
        self.server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.server = subprocess.Popen(valkey_command(self.settings))
        with Redis.from_url(self.settings.redis) as redis:
            until(lambda: _answers(redis), 20, "Valkey does not answer")

    def stop(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()


def _answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False


@pytest.mark.parametrize("away_seconds", [1, 10])
def test_a_redis_that_was_away_is_used_at_once(away_seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="wb", dir="/tmp") as directory:
        server = Valkey(Path(directory))
        server.start()
        try:
            with Installation(
                {"WAYBILL_REDIS_URL": server.settings.redis}, batch_workers=1
            ) as installation:
                assert ask(installation).status_code == 200
                workers = {child.pid for child in installation.children("worker")}
                server.stop()
                time.sleep(away_seconds)  # an outage, as long as that
                server.start()
                back = time.monotonic()
                assert ask(installation).status_code == 200
                assert time.monotonic() - back < BACK_SECONDS
                assert {child.pid for child in installation.children("worker")} == workers
                assert "Traceback" not in installation.log_path.read_text()
        finally:
            server.stop()
