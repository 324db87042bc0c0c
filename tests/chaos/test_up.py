"""`waybill up` says in one line what is wrong, whatever is wrong."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.client.server import DEFAULT_URL, configured
from tests.installation import REPOSITORY, Installation, clean_environment, role, until
from tests.stacks import embedded_only

pytestmark = [pytest.mark.chaos, embedded_only]


@pytest.fixture(scope="module")
def there() -> Iterator[Installation]:
    with Installation() as installation:
        yield installation


@pytest.fixture
def new() -> Iterator[Installation]:
    installation = Installation()
    yield installation
    installation.__exit__()


def refusal(installation: Installation, **settings: str) -> str:
    """Run `up` where it cannot run; return the one line it says."""
    ended = subprocess.run(
        [sys.executable, "-m", "cli", *installation.arguments],
        env=installation.environment | settings,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    said = ended.stdout + ended.stderr
    assert "Traceback" not in said, said
    lines = [line for line in said.splitlines() if line.startswith("waybill: ")]
    assert lines, said
    return lines[-1] + said[said.rindex(lines[-1]) + len(lines[-1]) :].rstrip("\n")


def test_a_taken_port(new: Installation) -> None:
    with socket.create_server(("127.0.0.1", new.port)):
        said = refusal(new)
    assert f"127.0.0.1:{new.port}" in said
    assert "Address already in use" in said
    assert "\n" not in said


def test_a_taken_simulator_port(new: Installation) -> None:
    with socket.create_server(("127.0.0.1", new.simulator_port)):
        assert f":{new.simulator_port}" in refusal(new)


def test_a_data_directory_that_cannot_be_made(new: Installation) -> None:
    occupied = new.directory / "file"
    occupied.write_text("")
    said = refusal(new, WAYBILL_DATA_DIR=str(occupied / "data"))
    assert "WAYBILL_DATA_DIR" in said
    assert "\n" not in said


def test_a_data_directory_with_a_path_too_long_for_a_socket(new: Installation) -> None:
    said = refusal(new, WAYBILL_DATA_DIR=str(new.directory / ("d" * 100)))
    assert "too long" in said
    assert "\n" not in said


def test_a_second_up_on_the_same_data(there: Installation, new: Installation) -> None:
    said = refusal(new, WAYBILL_DATA_DIR=str(there.data_dir))
    assert str(there.data_dir) in said
    assert "another" in said
    assert there.await_job(there.submit("sim-echo"))["status"] == "completed"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[providers]\n", "waybill.toml"),
        ('[[providers]]\nslug = "x"\nbase_ulr = "http://x"\n', "base_ulr"),
        ('[[providers]]\nslug = "x"\n', "base_url"),
        ('[[providers]]\nslug = "x"\nbase_url = "http://x"\nwire = "morse"\n', "morse"),
        ('[[models]]\nslug = "a/b"\nendpoints = [{provider = "nobody", model = "m"}]\n', "nobody"),
        ('[[models]]\nslug = "a/b"\nendpoints = []\n', "endpoints"),
        ('[[models]]\nslug = "noslash"\nendpoints = [{provider="sim", model="m"}]\n', "slug"),
    ],
)
def test_a_wrong_configuration(new: Installation, text: str, told: str) -> None:
    new.config.write_text(text)
    assert told in refusal(new)


@pytest.mark.parametrize(
    ("name", "value"), [("WAYBILL_PORT", "http"), ("WAYBILL_LEASE_SECONDS", "-1")]
)
def test_a_wrong_setting(new: Installation, name: str, value: str) -> None:
    assert name.removeprefix("WAYBILL_").lower() in refusal(new, **{name: value}).lower()


def test_a_configuration_that_is_not_there(new: Installation) -> None:
    assert "/nowhere.toml" in refusal(new, WAYBILL_CONFIG="/nowhere.toml")


def test_a_worker_that_dies_is_started_again(there: Installation) -> None:
    before = there.child("worker").pid
    there.kill("worker")
    until(lambda: there.await_child("worker").pid != before, 20, "not started again")
    assert "waybill: worker-1 died (signal SIGKILL); starting it again" in there.log()
    assert there.await_job(there.submit("sim-echo"))["status"] == "completed"


def test_the_parts_come_back_when_what_forks_them_is_killed(there: Installation) -> None:
    job_id = there.submit("sim-lat2000")
    until(lambda: there.job(job_id)["status"] == "running", 20, there.log)
    parts = {word: there.child(word).pid for word in ("api", "worker", "simulator")}
    assert there.process is not None
    for each in psutil.Process(there.process.pid).children():
        if "multiprocessing.forkserver" in " ".join(each.cmdline()):
            each.kill()
    for word, pid in parts.items():
        until(lambda word=word, pid=pid: there.await_child(word).pid != pid, 60, there.log)
    there.await_ready()
    assert there.await_job(job_id)["status"] == "completed"


def test_commands_are_told_its_address_while_it_runs(new: Installation) -> None:
    new.start()
    environ = {"WAYBILL_DATA_DIR": str(new.data_dir)}
    assert configured(environ).url == f"http://127.0.0.1:{new.port}"
    new.stop()
    assert configured(environ).url == DEFAULT_URL


def test_commands_beside_it_see_its_environment(there: Installation, tmp_path: Path) -> None:
    """The keys are set where `up` was started, not in this second terminal."""
    terminal = clean_environment() | {"WAYBILL_DATA_DIR": str(there.data_dir)}

    def run(*words: str) -> str:
        command = [sys.executable, "-P", "-m", "cli", *words]
        ended = subprocess.run(
            command, env=terminal, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    assert run("providers", "check", "sim").startswith("ok    sim ")
    assert "of the `waybill up` that runs here" in run("doctor")
    assert str(there.simulator_port) in run("providers", "list")


def test_ctrl_c_while_everything_is_still_imported(new: Installation) -> None:
    up = subprocess.Popen(
        [sys.executable, "-m", "cli", *new.arguments],
        env=new.environment,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    until(lambda: _importing(up.pid), 30, "no fork server")
    os.killpg(up.pid, signal.SIGINT)
    said, _ = up.communicate(timeout=60)
    assert up.returncode == 0, said
    assert "Traceback" not in said
    assert "waybill: stopping" in said


def _importing(pid: int) -> bool:
    """Return whether a fork server has begun its imports."""
    return any(
        "cli.start.preloaded" in " ".join(each.cmdline()) and os.getsid(each.pid) == each.pid
        for each in psutil.Process(pid).children()
    )


def test_nothing_outlives_a_killed_up() -> None:
    """Orphans would hold the ports, and a second Valkey would write to the same file."""
    with Installation() as installation:
        assert installation.process is not None
        family = psutil.Process(installation.process.pid).children(recursive=True)
        try:
            os.kill(installation.process.pid, signal.SIGKILL)
            installation.process.wait(10)
            _, alive = psutil.wait_procs(family, timeout=20)
            assert [role(each) for each in alive] == []
            installation.start()
            assert installation.await_job(installation.submit("sim-echo"))["status"] == "completed"
        finally:
            for each in family:
                if each.is_running():
                    each.kill()
