import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.adapters.base import MalformedAnswerError
from workers.adapters.event_reader import JsonDocuments

VALUES = st.recursive(
    st.text('ab{}[]"\\,\n é') | st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('a{"\\'), inner, max_size=3)
    ),
)
OBJECTS = st.lists(st.dictionaries(st.text('k}"\\'), VALUES, max_size=3), max_size=4)


@given(OBJECTS, st.lists(st.integers(0, 400), max_size=6).map(sorted), st.booleans())
def test_objects_come_whole_however_they_are_cut(objects, cuts, indented):
    data = json.dumps(objects, ensure_ascii=False, indent=1 if indented else None).encode()
    documents = JsonDocuments()
    edges = [0, *cuts, len(data)]
    events = []
    for start, end in pairwise(edges):
        events += documents.feed(data[start:end])
    assert documents.close() == []
    assert [json.loads(event.data) for event in events] == objects


def test_an_object_left_open():
    documents = JsonDocuments()
    assert documents.feed(b'[{"a": "}"') == []
    with pytest.raises(MalformedAnswerError):
        documents.close()
