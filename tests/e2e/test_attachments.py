"""Images and files through the whole installation: refused, fetched, read as text, remembered."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.e2e.sse import content, frames
from tests.installation import Installation
from tests.stacks import any_stack
from tests.workers.media.document_set import DOCUMENTS, MadeDocument, error_rate
from tests.workers.media.document_set import PDF as PDF_TYPE
from tests.workers.media.pdfs import data_uri, make_pdf
from tests.workers.media.scans import LETTER, draw, encode, scan

pytestmark = any_stack

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
PDF = make_pdf("The first page", "The second page")
MODELS = """
[[providers]]
slug = "bytes"
wire = "openai"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "any"
quirks = ["inline_media"]
[[models]]
slug = "text/only"
input_modalities = ["text"]
endpoints = [{{ provider = "sim", model = "sim-echo" }}]
[[models]]
slug = "sees/urls"
input_modalities = ["text", "image"]
endpoints = [{{ provider = "sim", model = "sim-echo" }}]
[[models]]
slug = "sees/bytes"
input_modalities = ["text", "image"]
endpoints = [{{ provider = "bytes", model = "sim-echo" }}]
[[models]]
slug = "reads/files"
input_modalities = ["text", "file"]
endpoints = [{{ provider = "sim", model = "sim-echo" }}]
"""


class Website(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = {"/cat.png": PNG, "/paper.pdf": PDF}.get(self.path)
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def website() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Website)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def furnished(settings: dict[str, str] | None = None) -> Installation:
    own_installation = Installation(settings)
    own_installation.config.write_text(
        own_installation.config.read_text() + MODELS.format(port=own_installation.simulator_port)
    )
    return own_installation


@pytest.fixture(scope="module")
def own_installation() -> Iterator[Installation]:
    with furnished() as own_installation:
        yield own_installation
        own_installation.await_idle()
        own_installation.audit()


def ask(own_installation: Installation, model: str, *parts: dict[str, Any], **more: Any) -> Any:
    question = [{"type": "text", "text": "What is it?"}, *parts]
    messages = [*more.pop("earlier", ()), {"role": "user", "content": question}]
    return own_installation.http.post(
        "/chat/completions", json={"model": model, "messages": messages, **more}
    )


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def file(data: str) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": "paper.pdf", "file_data": data}}


def test_a_modality_no_endpoint_takes_is_a_404_that_names_models(
    own_installation: Installation,
) -> None:
    answer = ask(own_installation, "text/only", image("https://example.com/cat.png"))
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert "image" in error["message"]
    assert "sees/urls" in error["message"]
    assert "reads/files" not in error["message"]


def test_a_fallback_model_that_takes_it_is_asked(own_installation: Installation) -> None:
    answer = ask(
        own_installation, "text/only", image(data_uri(PNG, "image/png")), models=["sees/urls"]
    )
    assert answer.json()["model"] == "sees/urls"


def test_an_image_is_fetched_for_a_provider_that_does_not(
    own_installation: Installation, website: str
) -> None:
    assert ask(own_installation, "sees/bytes", image(f"{website}/cat.png")).status_code == 200
    sent = base64.b64encode(PNG).decode()
    assert own_installation.calls(sent)["matching"]


def test_a_failed_download_is_a_400_and_no_second_try(
    own_installation: Installation, website: str
) -> None:
    job = own_installation.http.post(
        "/jobs",
        json={"model": "sees/bytes", "messages": [
            {"role": "user", "content": [image(f"{website}/nothing.png")]}]},
    )  # fmt: skip
    ended = own_installation.await_job(job.json()["id"])
    assert ended["status"] == "failed"
    assert len(ended["attempts"]) == 1
    assert ended["attempts"][0]["error_type"] == "image_download_failed"
    answer = ask(own_installation, "sees/bytes", image(f"{website}/nothing.png"))
    assert answer.status_code == 400
    assert answer.json()["error"]["metadata"]["error_type"] == "image_download_failed"


def test_a_pdf_is_read_to_a_model_that_takes_no_files(
    own_installation: Installation, website: str
) -> None:
    answer = ask(own_installation, "text/only", file(f"{website}/paper.pdf")).json()
    message = answer["choices"][0]["message"]
    assert "[Page 2 of 2]\nThe second page" in message["content"]
    [annotation] = message["annotations"]
    assert annotation["type"] == "file"
    again = ask(own_installation, "text/only", file(data_uri(PDF)), earlier=[message]).json()
    assert "annotations" not in again["choices"][0]["message"]
    assert "The second page" in again["choices"][0]["message"]["content"]


def test_the_text_of_a_scan_is_sent_back_in_annotations(own_installation: Installation) -> None:
    scanned = file(data_uri(scan(draw(LETTER))))
    message = ask(own_installation, "text/only", scanned).json()["choices"][0]["message"]
    assert f"[Page 1 of 1]\n{LETTER}" in message["content"]
    again = ask(own_installation, "text/only", scanned, earlier=[message]).json()
    assert f"[Page 1 of 1]\n{LETTER}" in again["choices"][0]["message"]["content"]
    assert "annotations" not in again["choices"][0]["message"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.kind)
def test_a_document_reaches_each_kind_of_model(
    own_installation: Installation, document: MadeDocument
) -> None:
    part = file(data_uri(document.content, document.mime))
    sent = base64.b64encode(document.content).decode()[600:800]
    before = own_installation.calls(sent)["matching"]
    drawn = own_installation.calls("data:image/jpeg;base64,")["matching"]
    texts = ask(own_installation, "text/only", part)
    if document.expected is None:
        assert texts.status_code == 400
        assert document.refusal in texts.json()["error"]["message"]
        return
    assert texts.status_code == 200, texts.text
    message = texts.json()["choices"][0]["message"]
    assert error_rate(received(message), document.expected) <= document.most_errors
    assert own_installation.calls(sent)["matching"] == before
    seen = ask(own_installation, "sees/urls", part).json()["choices"][0]["message"]
    as_pictures = own_installation.calls("data:image/jpeg;base64,")["matching"] - drawn
    assert as_pictures == bool(document.scanned and document.mime in (PDF_TYPE, "image/jpeg"))
    if not document.scanned:
        assert received(seen) == received(message)
    ask(own_installation, "reads/files", part)
    assert own_installation.calls(sent)["matching"] > before or document.mime != PDF_TYPE


def received(message: dict[str, Any]) -> str:
    """The text that an echoing model received besides the question."""
    text: str = message["content"]
    return text.removeprefix("What is it?").strip()


def test_a_picture_that_is_sent_as_a_file_is_read(own_installation: Installation) -> None:
    picture = data_uri(encode(draw(LETTER)), "image/png")
    answer = ask(own_installation, "text/only", file(picture)).json()
    assert LETTER in answer["choices"][0]["message"]["content"]
    local = [{"id": "file-parser", "pdf": {"engine": "local-ocr"}}]
    answer = ask(own_installation, "text/only", image(picture), plugins=local).json()
    assert LETTER in answer["choices"][0]["message"]["content"]


def test_a_streams_first_chunk_carries_the_annotations(own_installation: Installation) -> None:
    answer = ask(own_installation, "text/only", file(data_uri(PDF)), stream=True)
    told = [frame for frame in frames(answer.text) if frame.data != "[DONE]"]
    deltas = [choice["delta"] for frame in told for choice in frame.json.get("choices", ())]
    assert [bool(delta.get("annotations")) for delta in deltas].count(True) == 1
    assert deltas[0]["annotations"][0]["file"]["name"] == "paper.pdf"
    assert "The first page" in content(told)


def test_a_pdf_goes_as_it_is_to_a_model_that_takes_files(own_installation: Installation) -> None:
    pdf = make_pdf("Native and unique")
    message = ask(own_installation, "reads/files", file(data_uri(pdf))).json()["choices"][0][
        "message"
    ]
    assert "annotations" not in message
    assert own_installation.calls(base64.b64encode(pdf).decode())["matching"]


def test_an_engine_that_makes_no_sense_is_refused(own_installation: Installation) -> None:
    native = [{"id": "file-parser", "pdf": {"engine": "native"}}]
    answer = ask(own_installation, "text/only", file(data_uri(PDF)), plugins=native)
    assert answer.status_code == 404
    assert "reads/files" in answer.json()["error"]["message"]
    magic = [{"id": "file-parser", "pdf": {"engine": "magic"}}]
    assert ask(own_installation, "text/only", file(data_uri(PDF)), plugins=magic).status_code == 400


def test_without_the_demos_setting_this_machine_is_not_reached(website: str) -> None:
    with furnished({"WAYBILL_ALLOWED_NETWORKS": ""}) as own_installation:
        answer = ask(own_installation, "sees/bytes", image(f"{website}/cat.png"))
    assert answer.status_code == 400
    assert "may not be fetched" in answer.json()["error"]["message"]


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://10.0.0.1/cat.png"])
def test_a_provider_is_not_made_to_fetch_what_is_private(
    own_installation: Installation, url: str
) -> None:
    answer = ask(own_installation, "sees/urls", image(url))
    assert answer.status_code == 400
    assert "may not be passed on" in answer.json()["error"]["message"]
    assert not own_installation.calls(url)["matching"]


def test_a_public_url_is_passed_on_to_a_provider_that_fetches(
    own_installation: Installation,
) -> None:
    url = "https://images.example.com/passed-on.png"
    assert ask(own_installation, "sees/urls", image(url)).status_code == 200
    assert own_installation.calls(url)["matching"]
