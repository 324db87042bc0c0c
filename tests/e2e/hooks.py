"""A receiver on this machine, and a workspace of its own that sends to it."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import sqlalchemy
from standardwebhooks import Webhook

from broker.accounts import create_key, create_workspace
from tests.installation import ENDED, Installation, chat, until


@dataclass(frozen=True)
class Received:
    """One POST, byte for byte."""

    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)

    def verified(self, secret: str) -> dict[str, Any]:
        """The event, if the public library says it is genuine."""
        return Webhook(secret).verify(self.body, dict(self.headers))


@dataclass
class Receiver:
    """Answers every POST; each test has paths of its own."""

    port: int = 0
    answers: dict[str, int] = field(default_factory=dict)  # by path; 204 unless listed
    posts: list[Received] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Received]:
        return [post for post in self.posts if post.path == path]

    def await_posts(self, path: str, count: int = 1, seconds: float = 20) -> list[Received]:
        def found() -> list[Received] | None:
            posts = self.at(path)
            return posts if len(posts) >= count else None

        return until(found, seconds, lambda: f"{len(self.at(path))} of {count} came to {path}")


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.posts.append(Received(self.path, headers, body))
            self.send_response(receiver.answers.get(self.path, 204))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Tenant:
    """A workspace nobody else writes to, through its key."""

    installation: Installation
    http: httpx.Client
    workspace_id: str

    def ask(self, method: str, path: str, *, status: int = 200, **more: Any) -> dict[str, Any]:
        answer = self.http.request(method, path, **more)
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        return dict(answer.json())

    def endpoint(self, url: str, **more: Any) -> dict[str, Any]:
        """Make an endpoint; its secret is in what comes back."""
        return self.ask("POST", "/webhooks/endpoints", status=201, json={"url": url, **more})

    def change(self, endpoint: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self.ask("PATCH", f"/webhooks/endpoints/{endpoint['id']}", json=more)

    def secret(self) -> str:
        return str(self.ask("GET", "/webhooks/secret")["secret"])

    def submit(self, native: str = "sim-echo", **wish: Any) -> str:
        body = {"body": chat(native), **wish}
        return str(self.ask("POST", "/jobs", status=202, json=body)["id"])

    def ended(self, native: str = "sim-echo", **wish: Any) -> dict[str, Any]:
        """Submit a job and return it once it has ended."""
        job_id = self.submit(native, **wish)

        def found() -> dict[str, Any] | None:
            job = self.ask("GET", f"/jobs/{job_id}")
            return job if job["status"] in ENDED else None

        return until(found, 30, f"{job_id} does not end")

    def deliveries(self, **filters: Any) -> list[dict[str, Any]]:
        return list(self.ask("GET", "/webhooks/deliveries", params=filters)["data"])

    def await_delivery(self, delivery_id: str, status: str) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            shown = self.ask("GET", f"/webhooks/deliveries/{delivery_id}")
            return shown if shown["status"] == status else None

        return until(
            found, 20, lambda: f"not {status}: {self.deliveries()}\n{self.installation.log()}"
        )

    def await_attempt(self, delivery_id: str) -> dict[str, Any]:
        """The first attempt of a delivery, once it is over."""

        def found() -> dict[str, Any] | None:
            attempts = self.ask("GET", f"/webhooks/deliveries/{delivery_id}")["attempts"]
            is_over = attempts and attempts[0]["duration_ms"] is not None
            return dict(attempts[0]) if is_over else None

        return until(
            found, 20, lambda: f"no attempt: {self.deliveries()}\n{self.installation.log()}"
        )

    def await_deliveries(self, count: int, **filters: Any) -> list[dict[str, Any]]:
        def found() -> list[dict[str, Any]] | None:
            listed = self.deliveries(**filters)
            return listed if len(listed) >= count else None

        return until(found, 20, lambda: f"{self.deliveries()}\n{self.installation.log()}")


@contextmanager
def tenant_of(installation: Installation, name: str) -> Iterator[Tenant]:
    engine = sqlalchemy.create_engine(installation.database_url)
    with engine.begin() as connection:
        workspace_id = create_workspace(connection, name, unlimited=True)
        key = create_key(connection, workspace_id, name).key
    engine.dispose()
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=installation.url, headers=headers, timeout=30) as client:
        yield Tenant(installation, client, workspace_id)
