"""`waybill listen`: a receiver on this machine that prints what arrives, verified."""

import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated

import orjson
import typer
from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

from cli.client.client import connected
from cli.messages import complain

MAX_BYTES = 64_000_000
PORT = 9200
NEW, REPEATED, REFUSED = "", "again: ", "NOT VERIFIED: "


def listen(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = PORT,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    secret: Annotated[
        list[str] | None,
        typer.Option(help="whsec_…; may be repeated. Default: the workspace's, from WAYBILL_URL."),
    ] = None,
) -> None:
    """Receive webhooks here and print them, saying what did not verify. Ctrl-C ends it."""
    try:
        inbox = Inbox(secret or [_workspace_secret()])
    except (ValueError, EmptyWebhookSecretError) as error:
        complain(f"this is no whsec_ secret: {error}")
        raise typer.Exit(1) from None
    try:
        server = receiver(host, port, inbox)
    except OSError as error:
        complain(f"cannot listen on {host}:{port}: {error.strerror or error}")
        raise typer.Exit(1) from None
    complain(f"listening on http://{host}:{server.server_port}/ (Ctrl-C ends it)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


class Inbox:
    """Judges deliveries by the signatures of these secrets, and remembers what it has seen."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._verifiers = [Webhook(secret) for secret in secrets]
        self._seen: set[str] = set()

    def take(self, headers: Mapping[str, str], body: bytes) -> tuple[bool, str]:
        """Return whether a delivery is genuine, and a line about it."""
        name = headers.get("webhook-id", "(no webhook-id)")
        if not name.isprintable():  # anyone may send here, and a terminal obeys what it is shown
            return False, f"{REFUSED}(a webhook-id with control characters)"
        trouble = self._trouble(headers, body)
        if trouble is not None:
            return False, f"{REFUSED}{name} {trouble}"
        event = orjson.loads(body)
        mark = REPEATED if name in self._seen else NEW
        self._seen.add(name)
        told = orjson.dumps(event.get("data")).decode()
        return True, f"{mark}{event.get('type')} {name} {told}"

    def _trouble(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Return why no secret verifies this; None where one does."""
        trouble = "there is no secret"
        for verifier in self._verifiers:
            try:
                verifier.verify(body, dict(headers))
            except WebhookVerificationError as error:
                trouble = str(error)
            except ValueError:  # the library's answer to signatures of no known form
                trouble = "the signature cannot be read"
            else:
                return None
        return trouble


def receiver(host: str, port: int, inbox: Inbox) -> ThreadingHTTPServer:
    """Return a server that prints what its inbox says, and answers 204 or 400."""

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = self.headers.get("content-length", "")
            if not length.isdecimal() or int(length) > MAX_BYTES:
                self.close_connection = True
                self._answer(413)
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            is_genuine, line = inbox.take(headers, self.rfile.read(int(length)))
            print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
            self._answer(204 if is_genuine else 400)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer((host, port), Receiver)


def _workspace_secret() -> str:
    with connected() as client:
        return str(client.get("/webhooks/secret")["secret"])
