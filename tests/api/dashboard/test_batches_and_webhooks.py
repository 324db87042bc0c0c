"""Batches by a file, and webhook endpoints, over the forms of the pages."""

import re

import pytest

from tests.api.visitors import make_user, sign_in, token_of


@pytest.fixture
async def ada(api, browser):
    make_user(api)
    await sign_in(browser)
    return browser


async def check(browser, name, content, **fields):
    page = await browser.get("/w/default/batches/new")
    return await browser.post(
        "/w/default/batches/new",
        data={"form_token": token_of(page), **fields},
        files={"file": (name, content)},
    )


async def test_a_file_is_checked_and_started(ada):
    lines = b'"What is 1 + 1?"\n{"prompt": "Hi", "custom_id": "hi"}\n'
    checked = await check(ada, "prompts.jsonl", lines, model="acme/small", max_cost="2.5")
    assert checked.status_code == 200
    assert "Highest cost" in checked.text
    file_id = re.search(r'name="input_file_id" value="(file_[^"]+)"', checked.text)[1]
    fields = {"form_token": token_of(checked), "input_file_id": file_id, "max_cost": "2.5"}
    started = await ada.post("/w/default/batches", data=fields)
    path = started.headers["location"]
    page = await ada.get(path)
    assert "The batch is accepted." in page.text
    assert "of $2.50" in page.text
    batch_id = path.rpartition("/")[2]
    batch = (await ada.get(f"/api/v1/batches/{batch_id}")).json()
    assert (batch["max_cost"], batch["status"]) == (2.5, "validating")
    await ada.post(f"{path}/cancel", data={"form_token": token_of(page)})
    batch = (await ada.get(f"/api/v1/batches/{batch_id}")).json()
    assert batch["status"] in ("cancelling", "cancelled")
    download = await ada.get(f"{path}/files/{batch['input_file_id']}")
    assert (await ada.get(download.headers["location"])).content.count(b"\n") == 2


async def test_a_table_is_filled_into_its_template(ada):
    table = b"text,language\nHello,French\n"
    checked = await check(
        ada, "words.csv", table, model="acme/small", template="Translate {text} into {language}"
    )
    file_id = re.search(r'name="input_file_id" value="(file_[^"]+)"', checked.text)[1]
    [line] = (await ada.get(f"/api/v1/files/{file_id}/content")).json()["body"]["messages"]
    assert line["content"] == "Translate Hello into French"


@pytest.mark.parametrize(
    ("name", "content", "fields", "problem"),
    [
        ("a.jsonl", b'"ok"\n{"prompt": 5}\n', {"model": "acme/small"}, "line 2: `prompt` must"),
        ("a.jsonl", b'"ok"\n', {}, "line 1: names no model"),
        ("a.csv", b"text\nHi\n", {"model": "acme/small"}, "a table needs a template"),
        (
            "a.csv",
            b"text\nHi\n",
            {"model": "acme/small", "template": "{x}"},
            "no column &#39;x&#39;",
        ),
        ("a.jsonl", b"", {"model": "acme/small"}, "The file is empty"),
        ("a.jsonl", b'"ok"\n', {"model": "acme/small", "max_cost": "much"}, "is no number"),
    ],
)  # fmt: skip
async def test_a_bad_file_says_why_and_keeps_what_was_entered(ada, name, content, fields, problem):
    answer = await check(ada, name, content, **fields)
    assert answer.status_code == 400
    assert problem in answer.text
    assert "/tmp" not in answer.text  # no path of the server is shown
    assert fields.get("model", "") in answer.text


async def test_lines_that_would_be_refused_are_named(ada):
    lines = b'{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "acme/small", "messages": []}}\n"Hi"\n'  # noqa: E501
    checked = await check(ada, "a.jsonl", lines, model="acme/small")
    assert "Lines that would be refused" in checked.text
    assert "messages" in checked.text


async def test_an_upload_of_another_site_is_refused(ada):
    answer = await ada.post("/w/default/batches/new", files={"file": ("a.jsonl", b'"x"\n')})
    assert answer.status_code == 403
    assert (await ada.get("/api/v1/files")).json()["data"] == []


async def test_an_endpoint_is_created_tested_and_deleted(ada):
    page = await ada.get("/w/default/webhooks")
    token = {"form_token": token_of(page)}
    fields = {**token, "url": "https://example.com/hook", "events": "job.failed\nbatch.*"}
    made = await ada.post("/w/default/webhooks", data=fields)
    secret = re.search(r"whsec_[\w+/=]+", made.text)[0]
    assert secret not in (await ada.get("/w/default/webhooks")).text
    [endpoint] = (await ada.get("/api/v1/webhooks/endpoints")).json()["data"]
    assert endpoint["events"] == ["job.failed", "batch.*"]
    path = f"/w/default/webhooks/endpoints/{endpoint['id']}"
    tested = await ada.post(f"{path}/test", data=token)
    delivery = await ada.get(tested.headers["location"])
    assert "endpoint.test" in delivery.text
    assert endpoint["id"] in delivery.text
    await ada.post(f"{path}/disable", data=token)
    assert "disabled" in (await ada.get("/w/default/webhooks")).text
    rotated = await ada.post(f"{path}/rotate", data=token)
    assert re.search(r"whsec_[\w+/=]+", rotated.text)[0] != secret
    await ada.post(f"{path}/delete", data=token)
    assert (await ada.get("/api/v1/webhooks/endpoints")).json()["data"] == []


async def test_a_refused_endpoint_says_why(ada):
    page = await ada.get("/w/default/webhooks")
    fields = {"form_token": token_of(page), "url": "http://10.0.0.1/hook", "description": "ours"}
    answer = await ada.post("/w/default/webhooks", data=fields)
    assert answer.status_code == 400
    assert 'value="ours"' in answer.text
    assert "this URL" in answer.text.split('role="alert">')[1].split("<")[0]
