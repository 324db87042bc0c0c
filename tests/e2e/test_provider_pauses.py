"""`waybill providers pause` and `resume` on a running installation."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.installation import REPOSITORY, Installation, until


@pytest.fixture(scope="module")
def pausing() -> Iterator[Installation]:
    with Installation({"WAYBILL_SYNC_TIMEOUT_SECONDS": "30"}) as installation:
        yield installation
        installation.await_idle()
        installation.audit()


def waybill(installation: Installation, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env=installation.environment, cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ran.stdout


@pytest.fixture
def sim_is_paused(pausing: Installation) -> Iterator[None]:
    assert waybill(pausing, "providers", "pause", "sim", "--reason", "price change") == (
        "sim is paused.\n"
    )
    yield
    waybill(pausing, "providers", "resume", "sim")


def waiting_for(installation: Installation, job_id: str) -> dict | None:
    return installation.job(job_id).get("waiting_for")


@pytest.mark.usefixtures("sim_is_paused")
def test_jobs_of_a_paused_provider_wait_and_run_once_it_is_resumed(pausing: Installation) -> None:
    # Given jobs of a provider that is paused, with and without a fallback
    await_pause(pausing)
    alone = [pausing.submit(prompt=f"paused {n}") for n in range(3)]
    models = {"models": ["spare/sim-echo"]}
    other = pausing.submit("sim-echo", "moved on", body=models)
    # Then the one with a fallback goes there, and the others wait, saying for what
    assert pausing.await_job(other)["provider"] == "spare"
    for job_id in alone:
        until(lambda job_id=job_id: waiting_for(pausing, job_id), 10, pausing.log)
        assert waiting_for(pausing, job_id)["reason"] == "paused_by_operator"
    assert "paused: price change" in waybill(pausing, "providers", "list")
    assert pausing.calls("paused ")["matching"] == 0
    # When it is resumed, they run
    assert waybill(pausing, "providers", "resume", "sim") == "sim is resumed.\n"
    assert {pausing.await_job(job_id)["status"] for job_id in alone} == {"completed"}
    assert pausing.calls("paused ")["matching"] == len(alone)


def await_pause(installation: Installation) -> None:
    """Wait until the worker has read the pause: a job that comes then waits."""

    def is_held() -> bool:
        job_id = installation.submit(prompt="is it paused?")
        found = until(lambda: told(installation, job_id), 10, installation.log)
        installation.http.post(f"/jobs/{job_id}/cancel")
        return found == "waits"

    until(is_held, 20, installation.log)


def told(installation: Installation, job_id: str) -> str | None:
    job = installation.job(job_id)
    return "waits" if job.get("waiting_for") else "ran" if job["status"] == "completed" else None


def test_a_pause_is_in_the_audit_log_and_repeats_do_no_harm(pausing: Installation) -> None:
    waybill(pausing, "providers", "pause", "spare")
    assert waybill(pausing, "providers", "pause", "spare") == "spare was paused already.\n"
    waybill(pausing, "providers", "resume", "spare")
    assert waybill(pausing, "providers", "resume", "spare") == "spare was not paused.\n"
    noted = pausing.ask("SELECT action FROM audit_entries WHERE object_id = 'spare' ORDER BY id")
    assert [row[0] for row in noted] == ["providers.pause", "providers.resume"]


def test_an_unknown_provider_is_not_paused(pausing: Installation) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        waybill(pausing, "providers", "pause", "nobody")
    assert "there is no provider 'nobody'" in refused.value.stderr
