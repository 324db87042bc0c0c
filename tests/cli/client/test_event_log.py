"""The event log over a real socket: a server that hangs up in the middle."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cli.client.client import Client
from cli.client.event_log import follow, parse
from cli.client.server import Server, ServerError

EVENTS = [
    b'id: 1\nevent: started\ndata: {"attempt": 1}\n\n',
    (
        b": WAYBILL PROCESSING\n"
        b'id: 2\nevent: chunk\ndata: {"choices": [{"delta": {"content": "Hel"}}]}\n\n'
    ),
    b'id: 3\nevent: chunk\ndata: {"choices": [{"delta": {"content": "lo"}}]}\n\n',
    b'id: 4\nevent: completed\ndata: {"status": "completed"}\n\n',
]


@pytest.fixture
def dropping():
    """Serve two events a connection, and half of the third; remember what was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            after = int(self.headers["Last-Event-ID"])
            asked.append(after)
            if len(asked) == 2:
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            rest = EVENTS[after:]
            self.wfile.write(b"".join(rest[:2]) + b"".join(rest[2:3])[:20])

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = Client(Server(f"http://127.0.0.1:{server.server_address[1]}", "k"))
        yield client, asked
        client.close()
        server.shutdown()


def test_a_dropped_connection_is_carried_on_after_the_last_event(dropping):
    client, asked = dropping
    gaps = []
    told = list(follow(client, "job_x", on_gap=gaps.append, pause=0.01))
    assert [event.number for event in told] == [1, 2, 3, 4]
    assert "".join(event.text for event in told) == "Hello"
    assert asked == [0, 2, 2]
    assert len(gaps) == 2


def test_a_server_that_stays_away_is_told():
    client = Client(Server("http://127.0.0.1:9", "k"))
    with pytest.raises(ServerError, match="no Waybill at"):
        list(follow(client, "job_x", on_gap=lambda _: None, patience=0.05, pause=0.02))


def test_comments_and_half_events_are_passed_over():
    lines = [": keep-alive", "id: 5", "event: chunk", 'data: {"a": 1}', "", "id: 6", "data: {"]
    [event] = parse(iter(lines))
    assert (event.number, event.type, event.data) == (5, "chunk", {"a": 1})
