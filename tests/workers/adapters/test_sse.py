from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workers.adapters.sse import ServerSentEvent, SseDecoder

LINES = st.sampled_from(
    ["data: a", "data:b", "data:  c", "data", "data:", "event: error", "event:", ": comment", "",
     "id: 7", "retry: 10", "data: zwölf ✓ 🇫🇷", "data: [DONE]", "nonsense", "datax: no", ""]
)  # fmt: skip
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=30).map(
    lambda lines: "".join(line + end for line, end in lines).encode()
)


def decode(*pieces):
    decoder = SseDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


def by_the_book(data):
    """WHATWG 9.2.6 word for word, over a whole stream, with a final event delivered."""
    events, buffer, name = [], None, ""
    text = data.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    for line in [*text.split("\n"), ""]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if buffer is not None:
                events.append(
                    ServerSentEvent(buffer.removesuffix("\n").encode(), name or "message")
                )
            buffer, name = None, ""
        elif field == "data":
            buffer = (buffer or "") + value + "\n"
        elif field == "event":
            name = value
    return events


@given(STREAMS, st.lists(st.integers(0, 400), max_size=20), st.booleans())
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [8, 9, 10], False)
def test_any_cutting_gives_the_events_of_the_standard(data, cuts, bom):
    data = b"\xef\xbb\xbf" + data if bom else data
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    single = [data[at : at + 1] for at in range(len(data))]
    assert decode(*pieces) == decode(data) == decode(*single) == by_the_book(data)


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"", []),
        (b"\n\n\r\n", []),
        (b": ping\n\n", []),
        (b"data: 1\n\n", [ServerSentEvent(b"1")]),
        (b"data: 1", [ServerSentEvent(b"1")]),
        (b"data: 1\ndata: 2\n\n", [ServerSentEvent(b"1\n2")]),
        (
            b"event: error\ndata: {}\n\ndata: 2\n\n",
            [ServerSentEvent(b"{}", "error"), ServerSentEvent(b"2")],
        ),
        (b"event: lost\n\ndata: 2\n\n", [ServerSentEvent(b"2")]),
        (b"data:\n\n", [ServerSentEvent(b"")]),
        (b"\xef\xbb\xbfdata: 1\n\n", [ServerSentEvent(b"1")]),
        (b"data: \xef\xbb\xbf\n\n", [ServerSentEvent(b"\xef\xbb\xbf")]),
        (b"data: a\x0bb\x85c\x1cd\n\n", [ServerSentEvent(b"a\x0bb\x85c\x1cd")]),
    ],
)
def test_framing(data, events):
    assert decode(data) == events


def test_an_event_is_dispatched_by_a_carriage_return_at_once():
    decoder = SseDecoder()
    assert decoder.feed(b"data: 1\r\r") == [ServerSentEvent(b"1")]
    assert decoder.feed(b"\ndata: 2\n\n") == [ServerSentEvent(b"2")]


def test_a_megabyte_in_small_pieces_is_not_copied_again_and_again():
    decoder = SseDecoder()
    for _ in range(100_000):
        decoder.feed(b"data: xxxxxxxxxx"[:10])
    assert len(decoder.feed(b"\n\n")[0].data) == 1_000_000 - len("data: ")
