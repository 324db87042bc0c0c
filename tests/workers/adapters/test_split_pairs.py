"""A character that a gateway cut into two events is one character again, on every wire."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.adapters.streams import REQUEST, STREAMS
from workers.adapters.registry import ADAPTERS
from workers.adapters.sse import ServerSentEvent, SplitPairs
from workers.upstream.assembly import Assembly

WIRES = [wire for wire in STREAMS if wire != "bedrock"]  # its frames carry a checksum
SMILE = ("\\ud83d", "\\ude0a")


def read(wire, data):
    reader = ADAPTERS[wire].create_stream_reader(REQUEST)
    assembly = Assembly(lambda _: None)
    for chunk in (*reader.feed(data), *reader.close()):
        assembly.add(chunk)
    [choice] = assembly.completion().choices
    return choice["message"]["content"], choice["finish_reason"]


def said(wire, first, second):
    """Return the wire's stream with other texts, as escapes."""
    whole = STREAMS[wire].whole
    return whole.replace(b'"Hello "', f'"{first}"'.encode()).replace(
        b'"world"', f'"{second}"'.encode()
    )


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (f"hi {SMILE[0]}", f"{SMILE[1]} there", "hi \U0001f60a there"),
        (f"hi {SMILE[0]}", " there", "hi \ufffd there"),
        ("hi", f"{SMILE[1]} there", "hi\ufffd there"),
        (f"hi {''.join(SMILE)}", "there", "hi \U0001f60athere"),
        ("hi ", f"there {SMILE[0]}", "hi there \ufffd"),
        ("hi \\\\ud83d", "there", "hi \\ud83dthere"),
    ],
)
def test_a_pair_in_two_events(wire, first, second, text):
    assert read(wire, said(wire, first, second)) == (text, "stop")


@given(st.text(), st.data())
def test_any_text_cut_anywhere_between_utf16_units(text, data):
    units = text.encode("utf-16-le", "surrogatepass")
    cuts = sorted(data.draw(st.sets(st.integers(0, len(units) // 2), max_size=6)))
    edges = [0, *(2 * cut for cut in cuts), len(units)]
    pieces = [
        units[start:end].decode("utf-16-le", "surrogatepass")
        for start, end in pairwise(edges)
        if start < end
    ]
    pairs = SplitPairs()
    events = pairs.feed([ServerSentEvent(json.dumps({"text": piece}).encode()) for piece in pieces])
    events += pairs.close()
    read = "".join(json.loads(event.data)["text"] for event in events)
    assert read == text
