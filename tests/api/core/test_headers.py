"""Text in request headers is UTF-8, as clients send it; what is not UTF-8 is Latin-1."""

from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from api.core.headers import read_attribution, read_header
from api.core.request import parse_idempotency_key

NAME = "Caf\u00e9 \u540d\u524d \U0001f60a"


def request(**headers: bytes) -> Request:
    raw = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


@given(st.text())
def test_any_text_in_utf8(text):
    encoded = text.encode("utf-8", "replace")
    assert read_header(request(x_title=encoded), "x-title") == encoded.decode()


@given(st.binary())
def test_any_bytes_are_some_text(value):
    found = read_header(request(x_title=value), "x-title")
    assert found in (value.decode("latin-1"), value.decode("utf-8", "ignore"))


def test_an_absent_header():
    assert read_header(request(), "x-title") is None


def test_where_a_request_comes_from():
    found = read_attribution(
        request(
            x_title=NAME.encode(),
            http_referer=f"https://app.example/{NAME}".encode(),
            user_agent=NAME.encode(),
            x_session_id=NAME.encode(),
            x_openrouter_categories=NAME.encode(),
        )
    )
    assert found["app"] == NAME
    assert found["session_id"] == NAME
    assert found["origin"] == {
        "http_referer": f"https://app.example/{NAME}",
        "title": NAME,
        "categories": NAME,
        "user_agent": NAME,
    }


def test_latin_1_is_still_read():
    assert read_attribution(request(x_title=b"Caf\xe9"))["app"] == "Caf\u00e9"


def test_an_idempotency_key():
    assert parse_idempotency_key(request(idempotency_key=NAME.encode())) == NAME
