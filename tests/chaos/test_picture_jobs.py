"""kill -9 of the worker while a vendor makes a picture as a job: it is submitted and paid once."""

from collections.abc import Iterator

import httpx
import pytest

from tests.installation import Installation, until

pytestmark = pytest.mark.chaos

VENDORS = """
[[providers]]
slug = "bfl"
wire = "bfl"
base_url = "{root}/bfl/v1"
api_key = "any"
[[providers]]
slug = "fal"
wire = "fal"
base_url = "{root}/fal"
api_key = "any"
[[models]]
slug = "bfl/slow"
output_modalities = ["image"]
endpoints = [{{ provider = "bfl", model = "sim-lat4000", image_output = "0.04" }}]
[[models]]
slug = "fal/slow"
output_modalities = ["image"]
endpoints = [{{ provider = "fal", model = "sim-lat4000", image_output = "0.04" }}]
"""


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    made = Installation({"WAYBILL_LEASE_SECONDS": "3", "WAYBILL_HEARTBEAT_SECONDS": "1"})
    root = f"http://127.0.0.1:{made.simulator_port}"
    made.config.write_text(made.config.read_text() + VENDORS.format(root=root))
    with made:
        yield made


@pytest.mark.parametrize("vendor", ["bfl", "fal"])
def test_a_killed_worker_does_not_submit_a_picture_twice(
    installation: Installation, vendor: str
) -> None:
    prompt = f"A red square by {vendor}"
    asked = {"model": f"{vendor}/slow", "prompt": prompt}
    job = installation.http.post(
        "/jobs", json={"endpoint": "/v1/images/generations", "body": asked, "on_unknown": "fail"}
    ).json()
    until(lambda: installation.calls(prompt)["matching"] == 1, 20, "the job is not submitted")
    until(lambda: has_answer(installation, job["id"]), 20, "the id of the job is not stored")
    installation.kill("worker")
    ended = installation.await_job(job["id"])
    assert ended["status"] == "completed", ended
    assert [each["outcome"] for each in ended["attempts"]] == ["interrupted", "ok"]
    assert installation.calls(prompt)["matching"] == 1
    [entry] = ended["response"]["data"]
    assert httpx.get(entry["url"]).content.startswith(b"\x89PNG")
    assert ended["response"]["usage"]["cost"] == pytest.approx(0.04)
    installation.audit([job["id"]])


def has_answer(installation: Installation, job_id: str) -> bool:
    query = "SELECT background FROM attempts WHERE job_id = ?"
    return any(row[0] for row in installation.ask(query, job_id))
