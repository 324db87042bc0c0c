"""Arbitrary bytes of a provider's stream give chunks or a documented error, within bounds."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.drawing import cut, fuzzed, mutated
from tests.workers.adapters.streams import REQUEST, STREAMS
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.registry import ADAPTERS

EACH = 40  # bytes of memory for one byte of a stream, at most
BASE = 3_000_000


def read(wire: str, pieces: list[bytes]) -> None:
    reader = ADAPTERS[wire].create_stream_reader(REQUEST)
    try:
        for piece in pieces:
            reader.feed(piece)
        reader.close()
    except (MalformedAnswerError, ProviderFailureError):
        pass


@pytest.mark.parametrize("wire", STREAMS)
@fuzzed(60)
@given(data=st.data())
def test_a_damaged_stream_raises_nothing_else(wire: str, data: st.DataObject) -> None:
    whole = data.draw(mutated(STREAMS[wire].whole))
    read(wire, data.draw(cut(whole)))


@pytest.mark.parametrize("wire", ADAPTERS)
@fuzzed(30)
@given(pieces=st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_raise_nothing_else(wire: str, pieces: list[bytes]) -> None:
    read(wire, pieces)
    read(wire, [b"data: ", *pieces, b"\n\n"])


@pytest.mark.parametrize("wire", STREAMS)
@fuzzed(2)
@given(piece=st.binary(min_size=1, max_size=64))
def test_what_never_ends_takes_memory_by_its_length(wire: str, piece: bytes) -> None:
    size = 1000 * len(piece)
    tracemalloc.start()
    try:
        read(wire, [*STREAMS[wire].opening, *[piece] * 1000])
        assert tracemalloc.get_traced_memory()[1] < BASE + EACH * size
    finally:
        tracemalloc.stop()
