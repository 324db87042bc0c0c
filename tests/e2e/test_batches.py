"""Batches through the `openai` SDK, and by plain HTTP in OpenRouter's form."""

import json
import time
from collections.abc import Iterator

import openai
import pytest

from tests.e2e.batching import (
    ENDED,
    content,
    cost_of,
    create,
    ended,
    jsonl,
    line,
    lines_of,
    look,
    results,
)
from tests.installation import KEY, Installation, chat, until


@pytest.fixture
def sdk(installation: Installation) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=installation.url, api_key=KEY, max_retries=0) as client:
        yield client


def test_upload_create_poll_download(sdk: openai.OpenAI, installation: Installation) -> None:
    # Given a file of three lines, of which one names no model that there is
    lines = [line("a", prompt="first"), line("b", prompt="second"), line("c", "sim-nowhere")]
    file = sdk.files.create(file=("in.jsonl", jsonl(lines)), purpose="batch")
    assert (file.status, file.purpose, file.filename) == ("processed", "batch", "in.jsonl")
    # When it is run as a batch
    batch = sdk.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"run": "7"},
    )
    assert batch.status == "validating"
    until(lambda: sdk.batches.retrieve(batch.id).status in ENDED, 30, "it does not end")
    # Then each line is in one of its two files
    batch = sdk.batches.retrieve(batch.id)
    assert batch.status == "completed"
    assert batch.request_counts is not None
    assert (batch.request_counts.total, batch.request_counts.completed) == (3, 2)
    assert batch.request_counts.failed == 1
    assert batch.metadata == {"run": "7"}
    assert batch.output_file_id is not None
    text = sdk.files.content(batch.output_file_id).text
    output = [json.loads(each) for each in text.splitlines()]
    assert {each["custom_id"]: content(each) for each in output} == {"a": "first", "b": "second"}
    assert all(each["response"]["status_code"] == 200 for each in output)
    assert batch.error_file_id is not None
    (error,) = lines_of(installation, batch.error_file_id)
    assert (error["custom_id"], error["response"]["status_code"]) == ("c", 404)
    assert "sim-nowhere" in error["response"]["body"]["error"]["message"]
    # And the batch costs what its lines cost
    assert batch.usage is not None
    assert batch.usage.model_extra is not None
    assert batch.usage.model_extra["cost"] == pytest.approx(cost_of(output))
    assert batch.usage.total_tokens == batch.usage.input_tokens + batch.usage.output_tokens
    assert batch.id in [each.id for each in sdk.batches.list(limit=5)]


def test_inline_requests_in_any_order_of_keys(installation: Installation) -> None:
    body = {
        "requests": [{"custom_id": str(n), "body": chat("sim-echo", f"say {n}")} for n in range(3)],
        "endpoint": "/v1/chat/completions",
        "completion_window": "1h",
    }
    answer = installation.http.post("/batches", json=body)
    assert answer.status_code == 202, answer.text
    batch = ended(installation, answer.json()["id"])
    assert batch["status"] == "completed"
    # its results come with it, as OpenRouter's do
    batch = look(installation, batch["id"])
    found = {each["custom_id"]: content(each) for each in batch["results"]}
    assert found == {"0": "say 0", "1": "say 1", "2": "say 2"}
    assert batch["usage"]["cost"] == pytest.approx(cost_of(batch["results"]))


def test_any_model_and_fallback_on_any_line(installation: Installation) -> None:
    lines = [
        line("words", "sim-words", "one two three"),
        line("fallback", models=["gone/sim", "spare/sim-echo"]) | {},
        {"custom_id": "default", "body": {"messages": chat()["messages"]}},
    ]
    del lines[1]["body"]["model"]
    batch = ended(installation, create(installation, lines, model="sim/sim-echo")["id"])
    found = results(installation, batch["id"])
    assert batch["request_counts"]["completed"] == 3, found
    assert content(found["words"]) == "Your prompt has 3 words."
    assert found["fallback"]["response"]["body"]["model"] == "spare/sim-echo"
    assert content(found["default"]) == "Hello"


def test_results_are_there_while_it_runs(installation: Installation) -> None:
    lines = [line("slow", "sim-lat4000"), line("fast"), line("bad", "sim-nowhere")]
    batch_id = create(installation, lines)["id"]
    until(lambda: "fast" in results(installation, batch_id), 10, "no result comes")
    seen = look(installation, batch_id, results="true", limit=1)
    assert seen["status"] == "in_progress"
    assert (len(seen["results"]), seen["has_more"]) == (1, True)
    after = look(installation, batch_id, results="true", after=seen["last_line"])
    names = {each["custom_id"] for each in [*seen["results"], *after["results"]]}
    assert names == {"fast", "bad"}
    for moment, there in ((seen["complete_until"], True), (time.time() + 60, False)):
        since = look(installation, batch_id, results="true", ended_after=moment)["results"]
        assert ("fast" in [each["custom_id"] for each in since]) is there
    assert seen["request_counts"] == {"total": 3, "completed": 1, "failed": 1, "running": 1}
    assert ended(installation, batch_id)["request_counts"]["completed"] == 2


def test_a_file_that_is_no_jsonl_fails_whole(
    sdk: openai.OpenAI, installation: Installation
) -> None:
    file = sdk.files.create(file=("in.jsonl", b"these are\nnot requests\n"), purpose="batch")
    assert file.status == "error"
    created = sdk.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    batch = ended(installation, created.id)
    assert (batch["status"], batch["request_counts"]["failed"]) == ("failed", 2)
    errors = sdk.batches.retrieve(created.id).errors
    assert errors is not None
    assert errors.data is not None
    assert [(each.code, each.line) for each in errors.data] == [
        ("invalid_json_line", 1),
        ("invalid_json_line", 2),
    ]


def test_a_custom_id_that_comes_twice_fails_the_batch_before_anything_is_run(
    installation: Installation,
) -> None:
    prompt = "asked under one name twice"
    batch = ended(
        installation,
        create(installation, [line("a", prompt=prompt), line("a", prompt=prompt)])["id"],
    )
    assert batch["status"] == "failed"
    assert [each["code"] for each in batch["errors"]["data"]] == ["duplicate_custom_id"]
    assert installation.calls(prompt)["matching"] == 0


def test_a_bad_line_fails_alone_and_all_bad_lines_are_told(installation: Installation) -> None:
    lines = [
        line("good"),
        {"custom_id": "empty"},
        line("hot", temperature=9),
        {"custom_id": "where", "url": "/v1/nowhere", "body": {}},
        {"body": {}},
    ]
    batch = ended(installation, create(installation, lines)["id"])
    assert (batch["status"], batch["request_counts"]["completed"]) == ("completed", 1)
    errors = lines_of(installation, batch["error_file_id"])
    assert [each["custom_id"] for each in errors] == ["empty", "hot", "where", None]
    assert {each["response"]["status_code"] for each in errors} == {400}
    assert "temperature" in errors[1]["response"]["body"]["error"]["message"]


def test_a_line_of_a_failing_provider_tells_its_error(installation: Installation) -> None:
    batch = ended(installation, create(installation, [line("bad", "sim-400")])["id"])
    (error,) = lines_of(installation, batch["error_file_id"])
    assert (error["custom_id"], error["response"]["status_code"]) == ("bad", 400)
    assert batch["output_file_id"] is None


def test_a_dry_run_tells_and_writes_nothing(installation: Installation) -> None:
    before = installation.http.get("/files", params={"purpose": "batch"}).json()
    lines = [line("a", max_tokens=100), line("b", "sim-nowhere"), line("c", max_tokens=100)]
    told = create(installation, lines, status=200, dry_run=True)
    assert told["request_counts"] == {"total": 3, "valid": 2, "invalid": 1}
    assert [each["line"] for each in told["errors"]["data"]] == [2]
    assert told["cost"]["cap"] == told["cost"]["most"] > told["cost"]["likely"] > 0
    assert told["estimated_seconds"] >= 0
    assert installation.http.get("/files", params={"purpose": "batch"}).json() == before
    file = installation.http.post(
        "/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", jsonl(lines))}
    ).json()
    body = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "dry_run": True}
    again = installation.http.post("/batches", json=body).json()
    assert again["request_counts"] == told["request_counts"]


def test_lines_in_other_dialects(installation: Installation) -> None:
    def of(custom_id: str, path: str, **body: object) -> dict:
        asked = {"model": "sim/sim-echo", **body}
        return {"custom_id": custom_id, "url": f"/v1/{path}", "body": asked}

    spoken = [{"role": "user", "content": "hello"}]
    batch = create(
        installation,
        [
            of("response", "responses", input="hello", instructions="Be quick."),
            of("message", "messages", messages=spoken, max_tokens=9),
            of("chained", "responses", input="hello", previous_response_id="resp_x"),
            of("wrong", "responses", input=[{"role": "user", "content": [{"type": "nothing"}]}]),
            of("unknown", "responses", input="hello", model="no/such"),
            of("failed", "responses", input="hello", model="sim/sim-400"),
            of("short", "messages", messages=spoken, max_tokens=0),
            of("untrue", "messages", messages=spoken, max_tokens=9, model="sim/sim-400"),
        ],
    )
    assert ended(installation, batch["id"])["request_counts"]["completed"] == 2
    found = results(installation, batch["id"])
    response = found["response"]["response"]["body"]
    assert (response["object"], response["status"]) == ("response", "completed")
    assert response["id"].startswith("resp_")
    assert response["output"][0]["content"][0]["text"] == "hello"
    assert response["instructions"] == "Be quick."
    message = found["message"]["response"]["body"]
    assert (message["type"], message["content"]) == (
        "message",
        [{"type": "text", "text": "hello"}],
    )
    for custom_id, field in (("chained", "previous_response_id"), ("wrong", "input.0.content.0")):
        refused = found[custom_id]["response"]
        assert refused["status_code"] == 400
        assert field in refused["body"]["error"]["message"]
    for custom_id, code, param in (
        ("chained", "invalid_request", "previous_response_id"),
        ("unknown", "not_found", "model"),
        ("failed", "invalid_request", None),
    ):
        error = found[custom_id]["response"]["body"]["error"]
        shown = (error["type"], error["code"], error["param"])
        assert shown == ("invalid_request_error", code, param)
    for custom_id in ("short", "untrue"):
        body = found[custom_id]["response"]["body"]
        assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
