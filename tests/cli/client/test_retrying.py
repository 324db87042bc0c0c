"""A client that sits out a server's absence."""

import io

import httpx
import pytest

from cli.client import retrying
from cli.client.retrying import RetryingClient
from cli.client.server import Server, ServerError


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_PAUSE_SECONDS", 0.01)


def client(answer, told=None, timeout=5.0):
    return RetryingClient(
        Server("http://w", "k"),
        timeout=timeout,
        on_outage=(told if told is not None else []).append,
        transport=httpx.MockTransport(answer),
    )


def refuse_to_connect():
    raise httpx.ConnectError("down")


@pytest.mark.parametrize(
    "trouble",
    [
        refuse_to_connect,
        lambda: httpx.Response(503, json={"detail": "starting"}),
        lambda: httpx.Response(500, json={"detail": "broken"}),
        lambda: httpx.Response(429, json={"detail": "slow down"}, headers={"Retry-After": "0"}),
    ],
)
def test_an_absence_is_sat_out_and_told_once(failing_first, trouble):
    told, failing = [], failing_first(2, trouble)
    asked = client(lambda request: failing(request) or httpx.Response(200, json={"a": 1}), told)
    assert asked.get("/x") == {"a": 1}
    assert [bool(reason) for reason in told] == [True, False]


def test_a_download_begins_anew(failing_first):
    class Cut(httpx.SyncByteStream):
        def __iter__(self):
            yield b"beg"
            raise httpx.ReadError("cut")

    failing = failing_first(1, lambda: httpx.Response(200, stream=Cut()))
    asked = client(lambda request: failing(request) or httpx.Response(200, text="begin"))
    file = io.BytesIO()
    asked.download("/x", file)
    assert file.getvalue() == b"begin"


def test_patience_ends():
    with pytest.raises(ServerError, match="no Waybill at http://w: start one"):
        client(lambda _: refuse_to_connect(), timeout=0.02).get("/x")


@pytest.mark.parametrize(("status", "times"), [(401, 1), (402, 1), (404, 1), (500, 4)])
def test_what_does_not_pass_is_told_at_once(status, times):
    asked = []

    def answer(request):
        asked.append(request)
        return httpx.Response(status, json={"detail": "no"})

    with pytest.raises(ServerError, match="no"):
        client(answer).get("/x")
    assert len(asked) == times
