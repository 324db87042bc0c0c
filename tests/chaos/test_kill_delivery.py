"""kill -9 of the worker between a webhook's POST and its record: it comes again, as the same."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.chaos.load import submit_many
from tests.installation import Installation, until

pytestmark = pytest.mark.chaos


class Receiver:
    """Takes every POST; says so at once, or only when `open` is set."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.ids: list[str] = []
        self.url = ""


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            receiver.ids.append(self.headers["webhook-id"])
            receiver.open.wait(60)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.open.set()
        server.shutdown()
        server.server_close()


def states(installation: Installation) -> Counter[str]:
    return Counter(row.state for row in installation.ask("SELECT state FROM deliveries"))


def listening(installation: Installation, receiver: Receiver) -> None:
    answer = installation.http.post("/webhooks/endpoints", json={"url": receiver.url})
    assert answer.status_code == 201, answer.text


def test_what_was_posted_but_not_recorded_comes_again_under_its_id() -> None:
    with receiving() as receiver, Installation() as installation:
        listening(installation, receiver)
        submit_many(installation, 8, "sim")
        until(lambda: len(receiver.ids) == 8, 30, lambda: f"not all posted\n{installation.log()}")
        posted = sorted(receiver.ids)
        # When the worker dies while the receiver has everything, and has yet to say so
        installation.kill("worker")
        receiver.open.set()
        # Then each comes once more, and is recorded
        until(
            lambda: states(installation) == {"delivered": 8},
            30,
            lambda: f"{states(installation)}\n{installation.log()}",
        )
        assert sorted(receiver.ids) == sorted(posted * 2)
        query = "SELECT number, status, error FROM delivery_attempts ORDER BY delivery_id, number"
        attempts = [tuple(row) for row in installation.ask(query)]
        assert [(number, status) for number, status, _ in attempts] == [(1, None), (2, 204)] * 8
        assert all("lost" in error for _, _, error in attempts[::2])


def test_every_ended_job_is_told_whatever_dies() -> None:
    with receiving() as receiver, Installation() as installation:
        receiver.open.set()
        listening(installation, receiver)
        job_ids = submit_many(installation, 150, "sim-lat500")
        until(lambda: len(receiver.ids) > 20, 30, lambda: f"no deliveries\n{installation.log()}")
        installation.kill("worker")
        installation.await_idle(60)
        until(
            lambda: states(installation) == {"delivered": 150},
            60,
            lambda: f"{states(installation)}\n{installation.log()}",
        )
        rows = installation.ask("SELECT subject_id, event_id FROM deliveries")
        assert sorted(row.subject_id for row in rows) == sorted(job_ids)
        assert {row.event_id for row in rows} == set(receiver.ids)
        installation.audit(job_ids)


def test_a_stop_hands_back_what_is_under_way() -> None:
    with (
        receiving() as receiver,
        Installation({"WAYBILL_SOFT_SHUTDOWN_SECONDS": "0"}) as installation,
    ):
        listening(installation, receiver)
        submit_many(installation, 3, "sim")
        until(lambda: len(receiver.ids) == 3, 30, lambda: f"not all posted\n{installation.log()}")
        assert installation.stop() == 0
        assert states(installation) == {"pending": 3}
        receiver.open.set()
        installation.start()
        until(lambda: states(installation) == {"delivered": 3}, 30, installation.log)
        assert Counter(Counter(receiver.ids).values()) == {2: 3}
