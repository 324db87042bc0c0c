"""JSON as it is written in the wild is read, and what was read can be written as valid JSON."""

import json
import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.adapters.json_shapes import loads

TEXTS = st.text(st.characters(codec=None) | st.sampled_from(["\ud83d", "\ude0a", "\\", '"', "\n"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.booleans(), st.booleans())
def test_whatever_python_writes_is_read_and_can_be_written_again(value, ascii_only, bom):
    written = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    read = loads(b"\xef\xbb\xbf" + written if bom else written)
    assert orjson.loads(orjson.dumps(read)) == read


@given(st.recursive(st.none() | st.text() | st.integers(-(2**63), 2**64 - 1), st.lists))
def test_strict_json_is_read_as_it_is(value):
    assert loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb'"nice \ud83d day"', "nice \ufffd day"),
        (rb'"\ude0a\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud83d\ud83d\ude0a"', "\ufffd\U0001f60a"),
        (rb'["\\ud83d", "\\\ud83d", NaN]', ["\\ud83d", "\\\ufffd", None]),
        (rb'{"\ud83d": 1}', {"\ufffd": 1}),
        (b"[NaN, Infinity, -Infinity, 1e400, -1e400]", [None] * 5),
        (b"[1" + b"0" * 400 + b", NaN]", [None, None]),
        (b"[18446744073709551616, NaN]", [2.0**64, None]),
        (b'\xef\xbb\xbf {"a": 1}', {"a": 1}),
        (b'["a\nb\x00", NaN]', ["a\nb\0", None]),
        (b'["\xff\xed\xa0\xbd"]', ["\ufffd" * 4]),
    ],
)
def test_what_is_not_strict(written, read):
    assert loads(written) == read


@pytest.mark.parametrize(
    "data", [b"", b"{", b"<html>", b"[" * 100_000, b'{"a": undefined}', b"'a'"]
)
def test_what_is_not_json(data):
    with pytest.raises(ValueError, match=r"."):
        loads(data)


def test_finite_numbers_keep_their_value():
    assert loads(b"[1.5, 1e308, NaN]") == [1.5, 1e308, None]
    assert math.isfinite(loads(b"[1e308, NaN]")[0])
