"""A page on another origin calls the API from the browser: inference, streams, and PKCE."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page

from tests.browser.test_people import VERIFIER
from tests.installation import KEY, Installation

CALL = """async ([url, key, stream]) => {
  const body = {model: "sim/sim-words", stream, messages: [{role: "user", content: "Hello"}]};
  const answer = await fetch(url + "/chat/completions", {
    method: "POST", body: JSON.stringify(body),
    headers: {"Authorization": "Bearer " + key, "Content-Type": "application/json",
              "HTTP-Referer": "https://app.example.com", "X-Title": "A page"},
  });
  return {status: answer.status, job: answer.headers.get("x-job-id"),
          request: answer.headers.get("x-request-id"), text: await answer.text()};
}"""
EXCHANGE = """async ([url, verifier]) => {
  const answer = await fetch(url + "/auth/keys", {
    method: "POST", headers: {"Content-Type": "application/json"},
    body: JSON.stringify({code: "not-a-code", code_verifier: verifier}),
  });
  return {status: answer.status, body: await answer.json()};
}"""


class Website(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>An app</title>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def website() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Website) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def open_installation(website: str) -> Iterator[Installation]:
    with Installation({"WAYBILL_CORS_ORIGINS": website}) as installation:
        yield installation


@pytest.mark.parametrize("stream", [False, True])
def test_an_allowed_page_runs_inference(
    open_installation: Installation, website: str, page: Page, *, stream: bool
) -> None:
    page.goto(website)
    seen = page.evaluate(CALL, [open_installation.url, KEY, stream])
    assert seen["status"] == 200
    assert seen["job"].startswith("job_")
    assert seen["request"].startswith("req_")
    assert ("data: [DONE]" in seen["text"]) is stream


def test_an_allowed_page_exchanges_its_code(
    open_installation: Installation, website: str, page: Page
) -> None:
    page.goto(website)
    seen = page.evaluate(EXCHANGE, [open_installation.url, VERIFIER])
    assert seen["status"] in {400, 403}
    assert "code" in seen["body"]["error"]["message"]


def test_a_page_that_is_not_allowed_reads_nothing(
    installation: Installation, website: str, page: Page
) -> None:
    page.goto(website)
    with pytest.raises(Exception, match="Failed to fetch"):
        page.evaluate(CALL, [installation.url, KEY, False])
