"""A Stripe that stands in, and messages signed as Stripe signs them."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

SECRET = "whsec_of_these_tests"


def event(type_="checkout.session.completed", event_id="evt_1", **session):
    """An event as Stripe sends it, cut to what it says of a session (Stripe API, "Events")."""
    about = {
        "id": "cs_test_1",
        "object": "checkout.session",
        "amount_total": 2_550,
        "currency": "usd",
        "payment_status": "paid",
        "metadata": {"workspace_id": "ws_1"},
    } | session
    told = {"id": event_id, "object": "event", "type": type_, "data": {"object": about}}
    return json.dumps(told).encode()


def signed(body, *, secret=SECRET, at=None):
    at = int(time.time()) if at is None else at
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


@contextmanager
def pretended_stripe() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """A Stripe that makes one page, and remembers what it was asked."""
    asked: list[dict[str, list[str]]] = []

    class Api(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            session = {"id": "cs_1", "object": "checkout.session", "url": "https://pay.example/1"}
            body = json.dumps(session).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
