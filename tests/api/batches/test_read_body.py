"""The body of POST /batches, read a piece at a time."""

import json
from collections.abc import AsyncIterator

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.batches.read_body import read_batch_body
from broker.errors import InvalidRequestError, PayloadTooLargeError

NUMBERS = st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


class Body:
    """A request whose body comes in pieces of this size."""

    def __init__(self, content: bytes, size: int = 11) -> None:
        self.headers: dict[str, str] = {}
        self.pieces = [content[at : at + size] for at in range(0, len(content), size)]

    async def stream(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
        yield b""


async def read(content: bytes, size: int = 11, most: int = 1_000_000):
    lines: list[bytes] = []
    fields = await read_batch_body(Body(content, size), lines.append, most)
    return fields, [orjson.loads(line) for line in lines]


@settings(max_examples=60, deadline=None)
@given(
    before=st.dictionaries(TEXTS, VALUES, max_size=3),
    requests=st.lists(VALUES, max_size=4),
    after=st.dictionaries(TEXTS, VALUES, max_size=3),
    size=st.integers(1, 40),
)
async def test_fields_and_requests_come_as_they_were_sent(before, requests, after, size):
    before.pop("requests", None)
    after = {name: value for name, value in after.items() if name not in before | {"requests": 0}}
    body = json.dumps({**before, "requests": requests, **after}).encode()
    fields, lines = await read(body, size)
    assert fields == {**before, "requests": True, **after}
    assert lines == requests


async def test_a_body_without_requests():
    assert await read(b' {"input_file_id": "file_1", "max_cost": 0.25} ') == (
        {"input_file_id": "file_1", "max_cost": 0.25},
        [],
    )


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "not JSON"),
        (b"[1]", "JSON object"),
        (b'"text"', "JSON object"),
        (b'{"requests": [{"a": 1}', "not JSON"),
        (b'{"requests": [1,,2]}', "not JSON"),
        (b'{"a": 1} {"b": 2}', "not JSON"),
        (b'{"requests": {"a": 1}}', "must be a list"),
        (b'{"requests": 5}', "must be a list"),
        (b'{"a": "\xff"}', "not JSON"),
        (b'{"a": 123456789012345678901234567890}', "not JSON"),
    ],
)
async def test_what_is_no_body_is_refused(content, word):
    with pytest.raises(InvalidRequestError, match=word):
        await read(content)


async def test_a_body_too_large_is_refused_while_it_comes(monkeypatch):
    monkeypatch.setattr("api.batches.read_body.FRAME_BYTES", 0)
    with pytest.raises(PayloadTooLargeError, match="split it"):
        await read(b'{"requests": [' + b"1," * 5000 + b"1]}", most=100)
