"""Batches through the `openai` SDK, and by plain HTTP in OpenRouter's form."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.house import KEY, House, chat, until

ENDED = {"completed", "failed", "expired", "cancelled"}


@pytest.fixture
def sdk(house: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=house.url, api_key=KEY, max_retries=0) as client:
        yield client


def line(custom_id: str, native: str = "sim-echo", prompt: str = "Hello", **more: Any) -> dict:
    body = chat(native, prompt)
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": body,
        **more,
    }


def jsonl(lines: list[dict]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def ended(house: House, batch_id: str, seconds: float = 30) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        batch = house.http.get(f"/batches/{batch_id}").json()
        return batch if batch["status"] in ENDED else None

    return until(found, seconds, lambda: f"{house.http.get(f'/batches/{batch_id}').text}")


def test_upload_create_poll_download(sdk: openai.OpenAI, house: House) -> None:
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
    assert (batch.request_counts.total, batch.request_counts.completed) == (3, 2)
    assert batch.request_counts.failed == 1
    assert batch.metadata == {"run": "7"}
    output = [
        json.loads(each) for each in sdk.files.content(batch.output_file_id).text.splitlines()
    ]
    assert {each["custom_id"]: content(each) for each in output} == {"a": "first", "b": "second"}
    assert all(each["response"]["status_code"] == 200 for each in output)
    (error,) = sdk.files.content(batch.error_file_id).text.splitlines()
    assert json.loads(error)["custom_id"] == "c"
    assert json.loads(error)["response"]["status_code"] == 404
    # And the batch costs what its lines cost
    costs = [each["response"]["body"]["usage"]["cost"] for each in output]
    assert batch.usage.model_extra["cost"] == pytest.approx(sum(costs))
    assert batch.id in [each.id for each in sdk.batches.list(limit=5)]


def content(result: dict) -> str:
    return result["response"]["body"]["choices"][0]["message"]["content"]


def test_inline_requests_in_any_order_of_keys(house: House) -> None:
    body = {
        "requests": [{"custom_id": str(n), "body": chat("sim-echo", f"say {n}")} for n in range(3)],
        "endpoint": "/v1/chat/completions",
        "completion_window": "1h",
    }
    answer = house.http.post("/batches", json=body)
    assert answer.status_code == 202, answer.text
    batch = ended(house, answer.json()["id"])
    assert batch["status"] == "completed"
    results = {each["custom_id"]: content(each) for each in batch["results"]}
    assert results == {"0": "say 0", "1": "say 1", "2": "say 2"}
    assert batch["usage"]["cost"] > 0
