"""Pictures made to order: stored, linked, signed, and only ever paid once."""

import base64
import time
from typing import Any

import httpx
import openai
import pytest
from openai.types.images_response import Usage

from broker import accounts
from broker.security.signed_links import Signer
from broker.storage.database import Database
from tests.e2e.wires import GEMINI_LIKE
from tests.installation import Installation, until
from tests.stacks import any_stack

pytestmark = any_stack

PNG = b"\x89PNG"
ASKED = {"model": "openai/sim", "prompt": "A red square"}


def draw(
    installation: Installation, path: str = "/images/generations", **more: Any
) -> list[dict[str, Any]]:
    answer = installation.http.post(path, json={**ASKED, **more})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


@pytest.fixture(scope="module")
def link(wires: Installation) -> httpx.URL:
    [entry] = draw(wires, response_format="url")
    return httpx.URL(entry["url"])


@pytest.mark.parametrize("wire", ["openai", "azure", "deployment"])
def test_the_sdk_has_link_and_bytes(sdk: openai.OpenAI, wire: str) -> None:
    images = sdk.images.generate(model=f"{wire}/sim", prompt="A red square", n=2)
    assert len(images.data) == 2
    assert (images.usage.input_tokens, images.usage.output_tokens) == (3, 2 * 258)
    assert images.usage.cost > 0
    Usage.model_validate(images.usage.model_dump())  # the SDK itself reads anything
    for image in images.data:
        content = base64.b64decode(image.b64_json)
        assert content.startswith(PNG)
        answer = httpx.get(image.url)
        assert (answer.content, answer.headers["content-type"]) == (content, "image/png")


@pytest.mark.parametrize("wire", GEMINI_LIKE)
def test_geminis_pictures_come_out_of_a_chat(sdk: openai.OpenAI, wire: str) -> None:
    [image] = sdk.images.generate(model=f"{wire}/sim-image", prompt="A cat").data
    assert httpx.get(image.url).content == base64.b64decode(image.b64_json)
    [image] = sdk.images.generate(
        model=f"{wire}/sim-image", prompt="A cat", response_format="b64_json"
    ).data
    assert (bool(image.b64_json), image.url) == (True, None)


@pytest.mark.parametrize(
    ("wanted", "given"),
    [(None, {"url", "b64_json"}), ("url", {"url"}), ("b64_json", {"b64_json"})],
)
@pytest.mark.parametrize("path", ["/images/generations", "/images"])
def test_the_caller_chooses_the_form(
    wires: Installation, path: str, wanted: str | None, given: set[str]
) -> None:
    [entry] = draw(wires, path, **({"response_format": wanted} if wanted else {}))
    assert set(entry) & {"url", "b64_json"} == given


def test_bytes_stay_out_of_the_job(wires: Installation) -> None:
    job = wires.http.post("/jobs", json={"endpoint": "/v1/images/generations", "body": ASKED})
    response = wires.await_job(job.json()["id"])["response"]
    [entry] = response["data"]
    assert httpx.get(entry["url"]).content == base64.b64decode(entry["b64_json"])
    stored = wires.data_dir / "files" / entry["file_id"][-2:] / entry["file_id"]
    assert stored.read_bytes().startswith(PNG)
    log = wires.http.get(f"/jobs/{job.json()['id']}/events").text
    assert entry["file_id"] in log
    assert entry["b64_json"] not in log


def test_a_link_needs_no_key(link: httpx.URL) -> None:
    assert httpx.get(link).content.startswith(PNG)


def test_a_file_can_be_had_by_its_owners_key(wires: Installation, link: httpx.URL) -> None:
    bare = link.copy_with(query=None)
    assert wires.http.get(bare).content.startswith(PNG)
    assert httpx.get(bare).status_code == 401


def test_a_changed_link_does_not_hold(wires: Installation, link: httpx.URL) -> None:
    later = str(int(link.params["expires"]) + 3600)
    [other] = draw(wires, response_format="url", prompt="Another square")
    forged = link.params["signature"][:-2] + "AA"
    for changed in (
        link.copy_set_param("expires", later),
        link.copy_set_param("signature", forged),
        link.copy_set_param("signature", ""),
        link.copy_with(path=httpx.URL(other["url"]).path),
    ):
        assert httpx.get(changed).status_code == 401


def test_a_link_expires(wires: Installation, link: httpx.URL) -> None:
    assert 3500 < int(link.params["expires"]) - time.time() <= 3600
    file_id = link.path.split("/")[-2]
    signer = Signer((wires.data_dir / "secret_key").read_bytes())
    held, over = (
        wires.root + signer.build_link(link.path, file_id, seconds) for seconds in (60, -1)
    )
    assert httpx.get(held).status_code == 200
    assert httpx.get(over).status_code == 401


def test_anothers_file_is_not_there(wires: Installation, link: httpx.URL) -> None:
    database = Database(wires.database_url)
    with database.transaction() as connection:
        workspace = accounts.create_workspace(connection, "others", unlimited=True)
        key = accounts.create_key(connection, workspace, "theirs").key
    database.close()
    theirs = {"Authorization": f"Bearer {key}"}
    assert httpx.get(link.copy_with(query=None), headers=theirs).status_code == 404
    assert httpx.get(link, headers=theirs).status_code == 200  # whoever has the link has the file


def test_a_file_that_never_was_is_a_404(wires: Installation) -> None:
    for name in ("file_0123456789", "..%2F..%2Fwaybill.db", "x"):
        assert wires.http.get(f"/files/{name}/content").status_code == 404


def test_a_job_outlives_its_files(wires: Installation) -> None:
    answer = wires.http.post("/images/generations", json={**ASKED, "prompt": "A lost square"})
    [entry] = answer.json()["data"]
    name = httpx.URL(entry["url"]).path.split("/")[-2]
    (wires.data_dir / "files" / name[-2:] / name).unlink()
    assert httpx.get(entry["url"]).status_code == 404
    job = wires.job(answer.headers["x-job-id"])
    assert job["status"] == "completed"
    assert set(job["response"]["data"][0]) == {"file_id", "url"}


def test_a_killed_worker_draws_again_and_is_paid_once() -> None:
    with Installation() as installation:
        asked = {"model": "sim/sim-lat2000", "prompt": "A red square"}
        job = installation.http.post(
            "/jobs", json={"endpoint": "/v1/images/generations", "body": asked}
        )
        job_id = job.json()["id"]
        until(lambda: installation.calls()["in_flight"] == 1, 20, "the image is not under way")
        installation.kill("worker")
        ended = installation.await_job(job_id)
        assert [each["outcome"] for each in ended["attempts"]] == ["unknown", "ok"]
        [entry] = ended["response"]["data"]
        assert httpx.get(entry["url"]).content == base64.b64decode(entry["b64_json"])
        files = [path for path in (installation.data_dir / "files").rglob("*") if path.is_file()]
        assert [path.name for path in files] == [entry["file_id"]]
        installation.audit([job_id])
