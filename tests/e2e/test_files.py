"""/files in OpenAI's shape."""

import json
from collections.abc import Iterator

import openai
import pytest

from tests.e2e.batching import create, ended, jsonl, line
from tests.installation import KEY, Installation


@pytest.fixture
def sdk(installation: Installation) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=installation.url, api_key=KEY, max_retries=0) as client:
        yield client


def test_a_file_comes_back_as_it_went(sdk: openai.OpenAI) -> None:
    content = bytes(range(256)) * 3000
    file = sdk.files.create(
        file=("data.bin", content),
        purpose="user_data",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert (file.bytes, file.filename, file.object) == (len(content), "data.bin", "file")
    assert file.expires_at == file.created_at + 3600
    assert sdk.files.content(file.id).read() == content
    assert sdk.files.retrieve(file.id) == file
    assert file.id in [each.id for each in sdk.files.list(purpose="user_data")]
    assert file.id not in [each.id for each in sdk.files.list(purpose="batch", limit=5).data]
    assert sdk.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.files.retrieve(file.id)
    with pytest.raises(openai.NotFoundError):
        sdk.files.content(file.id)


def test_the_purpose_may_come_after_the_file(installation: Installation) -> None:
    lines = jsonl([line("a"), line("b")])
    parts = [("file", ("in.jsonl", lines)), ("purpose", (None, "batch"))]
    file = installation.http.post("/files", files=parts).json()
    assert (file["purpose"], file["lines"], file["status"]) == ("batch", 2, "processed")


def test_bad_lines_are_told_at_the_upload(installation: Installation) -> None:
    content = jsonl([line("a")]) + b"what\n" + jsonl([line("a")])
    file = upload(installation, content)
    assert file["status"] == "error"
    assert "1 line cannot be read, 1 custom_id comes twice; line" in file["status_details"]


def upload(installation: Installation, content: bytes, status: int = 200, **fields: str) -> dict:
    data = {"purpose": "batch", **fields}
    answer = installation.http.post("/files", data=data, files={"file": ("in.jsonl", content)})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"purpose": "nothing"}, "purpose"),
        ({"expires_after[seconds]": "5"}, "expires_after.seconds"),
        ({"expires_after[seconds]": "x"}, "expires_after.seconds"),
        (
            {"expires_after[seconds]": "3600", "expires_after[anchor]": "now"},
            "expires_after.anchor",
        ),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_kept(
    installation: Installation, fields: dict, param: str
) -> None:
    before = stored(installation)
    refused = upload(installation, jsonl([line("a")]), status=400, **fields)
    assert refused["error"]["param"] == param
    assert stored(installation) == before


def stored(installation: Installation) -> int:
    return len([path for path in (installation.data_dir / "files").rglob("*") if path.is_file()])


def test_an_empty_input_is_refused(installation: Installation) -> None:
    assert upload(installation, b"\n\n", status=400)["error"]["param"] == "file"


def test_what_is_no_form_is_refused(installation: Installation) -> None:
    assert installation.http.post("/files", json={}).status_code == 400
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    cut = installation.http.post("/files", content=b"--x\r\nContent-Dis", headers=headers)
    assert cut.status_code == 400
    assert "form" in cut.json()["error"]["message"]
    without = installation.http.post("/files", files={"purpose": (None, "batch")})
    assert without.json()["error"]["param"] == "file"


def test_a_form_brings_one_file_and_few_fields(installation: Installation) -> None:
    before = stored(installation)
    purpose = ("purpose", (None, "user_data"))
    several = installation.http.post("/files", files=[purpose, *[("file", ("a", b"aa"))] * 3])
    assert (several.status_code, several.json()["error"]["param"]) == (400, "file")
    many = installation.http.post("/files", files=[*[purpose] * 100, ("file", ("a", b"aa"))])
    assert many.status_code == 400
    assert stored(installation) == before


def test_an_input_that_is_being_read_is_not_deleted(installation: Installation) -> None:
    batch = create(installation, [line("a", "sim-lat1000")])
    assert installation.http.delete(f"/files/{batch['input_file_id']}").status_code == 409
    ended(installation, batch["id"])
    assert installation.http.delete(f"/files/{batch['input_file_id']}").status_code == 200


def test_a_stranger_sees_no_file(installation: Installation) -> None:
    file = upload(installation, jsonl([line("a")]))
    answer = installation.http.get(
        f"/files/{file['id']}/content", headers={"Authorization": "Bearer no"}
    )
    assert answer.status_code == 401
    assert installation.http.get("/files/file_nowhere").status_code == 404
    assert json.loads(installation.http.get("/files", params={"limit": 1}).text)["data"][0]["id"]
