"""OCR by a provider through the whole installation: held, charged once, shown, stored."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.test_attachments import file
from tests.installation import Installation, until
from tests.workers.media.pdfs import data_uri, make_pdf
from tests.workers.media.scans import draw, scan

PAGE_USD = 0.004
MODELS = """
[[providers]]
slug = "reader"
wire = "mistral"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "any"
[[models]]
slug = "mistralai/mistral-ocr-latest"
input_modalities = ["file", "image"]
output_modalities = ["ocr"]
endpoints = [{{ provider = "reader", model = "sim", page = 0.004 }}]
[[models]]
slug = "chat/echo"
input_modalities = ["text"]
endpoints = [{{ provider = "sim", model = "sim-echo", prompt = 1, completion = 2 }}]
[[models]]
slug = "chat/slow"
input_modalities = ["text"]
endpoints = [{{ provider = "sim", model = "sim-echo-lat3000", prompt = 1, completion = 2 }}]
[[models]]
slug = "chat/fails"
input_modalities = ["text"]
endpoints = [{{ provider = "sim", model = "sim-400", prompt = 1, completion = 2 }}]
[[models]]
slug = "chat/fails-once"
input_modalities = ["text"]
endpoints = [
    {{ provider = "sim", model = "sim-500", prompt = 1, completion = 2 }},
    {{ provider = "bad", model = "sim-echo", prompt = 1, completion = 2 }},
]
[[providers]]
slug = "bad"
wire = "openai"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "any"
"""
OCR = [{"id": "file-parser", "pdf": {"engine": "mistral-ocr"}}]


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    made = Installation()
    made.config.write_text(made.config.read_text() + MODELS.format(port=made.simulator_port))
    with made:
        yield made
        made.await_idle()
        made.audit()


def submit(installation: Installation, model: str, content: bytes, **more: Any) -> dict[str, Any]:
    """The ended job of a chat about a PDF."""
    question = [{"type": "text", "text": "What is it?"}, file(data_uri(content))]
    body = {"model": model, "messages": [{"role": "user", "content": question}], "plugins": OCR}
    return installation.await_job(begin(installation, body | more), seconds=60)


def begin(installation: Installation, body: dict[str, Any]) -> str:
    answer = installation.http.post("/jobs", json=body)
    assert answer.status_code < 300, answer.text
    id_: str = answer.json()["id"]
    return id_


def ocr_calls(installation: Installation) -> int:
    count: int = installation.calls('"document_url"')["matching"]
    return count


def test_ocr_is_charged_beside_the_chat(installation: Installation) -> None:
    job = submit(installation, "chat/echo", make_pdf("one", "two", "three"))
    result = job["response"]
    assert "[Page 3 of 3]\nPage 3 by OCR" in result["choices"][0]["message"]["content"]
    usage = result["usage"]
    assert usage["cost_details"]["ocr_cost"] == pytest.approx(3 * PAGE_USD)
    tokens = usage["prompt_tokens"] * 1e-6 + usage["completion_tokens"] * 2e-6
    assert usage["cost"] == pytest.approx(3 * PAGE_USD + tokens)
    generation = installation.http.get(f"/generation?id={result['id']}").json()["data"]
    assert generation["total_cost"] == pytest.approx(usage["cost"])


def test_the_same_document_is_paid_once_in_a_workspace(installation: Installation) -> None:
    content = make_pdf("asked", "twice")
    before = ocr_calls(installation)
    first = submit(installation, "chat/echo", content)["response"]
    again = submit(installation, "chat/echo", content)["response"]
    assert again["choices"] == first["choices"]
    assert "ocr_cost" not in again["usage"].get("cost_details", {})
    assert ocr_calls(installation) == before + 1
    installation.http.delete(f"/jobs/{job_of(installation, first)}").raise_for_status()
    installation.http.delete(f"/jobs/{job_of(installation, again)}").raise_for_status()
    third = submit(installation, "chat/echo", content)["response"]
    assert third["usage"]["cost_details"]["ocr_cost"] == pytest.approx(2 * PAGE_USD)
    assert ocr_calls(installation) == before + 2


def job_of(installation: Installation, result: dict[str, Any]) -> str:
    id_: str = result["id"].replace("gen-", "job_")
    return id_


def test_a_document_that_is_not_stored_is_read_again(installation: Installation) -> None:
    content = make_pdf("private")
    before = ocr_calls(installation)
    for _ in range(2):
        submit(installation, "chat/echo", content, store=False)
    assert ocr_calls(installation) == before + 2


def test_ocr_is_charged_once_when_the_chat_fails(installation: Installation) -> None:
    before = ocr_calls(installation)
    job = submit(installation, "chat/fails", make_pdf("never", "answered"))
    assert job["status"] == "failed"
    assert job["usage"]["cost"] == pytest.approx(2 * PAGE_USD)
    assert job["usage"]["cost_details"]["ocr_cost"] == job["usage"]["cost"]
    assert ocr_calls(installation) == before + 1


def test_a_fallback_does_not_read_again(installation: Installation) -> None:
    before = ocr_calls(installation)
    order = {"order": ["sim", "bad"]}
    job = submit(installation, "chat/fails-once", make_pdf("once"), provider=order)
    assert len(job["attempts"]) > 1
    assert job["status"] == "completed"
    assert job["response"]["usage"]["cost_details"]["ocr_cost"] == pytest.approx(PAGE_USD)
    assert ocr_calls(installation) == before + 1


def test_pages_that_are_not_held_are_not_read(installation: Installation) -> None:
    parser = [{"id": "file-parser", "pdf": {"engine": "mistral-ocr", "max_pages": 2}}]
    job = submit(installation, "chat/echo", make_pdf(*"abcd"), plugins=parser)
    assert job["response"]["usage"]["cost_details"]["ocr_cost"] == pytest.approx(2 * PAGE_USD)
    content = job["response"]["choices"][0]["message"]["content"]
    assert "[Pages 3 to 4 were left out]" in content
    job = submit(installation, "chat/echo", make_pdf(*["a"] * 101))
    assert job["status"] == "failed"
    assert "more than 100 pages" in job["error"]["message"]
    assert job["usage"] is None or not job["usage"]["cost"]


def test_a_scan_is_read_by_the_provider(installation: Installation) -> None:
    job = submit(installation, "chat/echo", scan(draw("Hello")))
    assert "Page 1 by OCR" in job["response"]["choices"][0]["message"]["content"]


def test_a_killed_worker_does_not_read_or_pay_again(installation: Installation) -> None:
    before = ocr_calls(installation)
    part = file(data_uri(make_pdf("read", "before", "the kill")))
    message = {"role": "user", "content": [part]}
    job_id = begin(
        installation, {"model": "chat/slow", "messages": [message], "plugins": OCR, "store": False}
    )
    until(lambda: installation.calls("[Page 3 of 3]")["matching"], 20, "the chat is not sent")
    installation.kill("worker")
    job = installation.await_job(job_id, seconds=60)
    assert [each["outcome"] for each in job["attempts"]] == ["unknown", "ok"]
    assert job["response"]["usage"]["cost_details"]["ocr_cost"] == pytest.approx(3 * PAGE_USD)
    assert ocr_calls(installation) == before + 1
