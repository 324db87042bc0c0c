"""Fixtures of end-to-end tests: servers, the SDK, a website, receivers of webhooks."""

import base64
import io
import threading
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest

from tests.e2e.hooks import Receiver, Tenant, receiving, tenant_of
from tests.e2e.wires import wired
from tests.installation import KEY, Installation
from tests.workers.media.pdfs import make_pdf

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)


def make_wav(*, seconds: int) -> bytes:
    """A silence, as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(800)
        sound.writeframes(bytes(800 * seconds))
    return file.getvalue()


PDF = make_pdf("The first page", "The second page")
WAV = make_wav(seconds=1)
FILES = {"/cat.png": PNG, "/paper.pdf": PDF, "/talk.wav": WAV}


@pytest.fixture(scope="session")
def wires() -> Iterator[Installation]:
    """An installation of many wires; whatever was asked of it, its books balance at the end."""
    with wired() as installation:
        yield installation
        installation.await_idle()
        installation.audit()


@pytest.fixture(scope="session")
def sdk(wires: Installation) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=wires.url, api_key=KEY, max_retries=0) as client:
        yield client


class Website(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = FILES.get(self.path)
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def website() -> Iterator[str]:
    """The address of a web server on this machine, which `--demo` allows to fetch from."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Website)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def hooked(installation: Installation) -> Installation:
    """The installation, which may deliver to this machine: `--demo` lets it."""
    return installation


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def tenant(hooked: Installation, request: pytest.FixtureRequest) -> Iterator[Tenant]:
    """A workspace of this test's own."""
    with tenant_of(hooked, request.node.name) as tenant:
        yield tenant


@pytest.fixture
def stranger(hooked: Installation, request: pytest.FixtureRequest) -> Iterator[Tenant]:
    """Another workspace of the same installation."""
    with tenant_of(hooked, f"stranger to {request.node.name}") as tenant:
        yield tenant
