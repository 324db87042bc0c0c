"""Whole numbers written as `40.0`: read as integers wherever a schema wants one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.batches import lines
from broker.requests.bodies import SCHEMAS, validated
from broker.requests.operations import Operation
from broker.requests.whole_numbers import loads

WHOLE = st.integers(-(2**53), 2**53)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
TURN = {"role": "user", "content": "1.0 and 1e3 stay as they are"}
BODIES = [
    (Operation.CHAT, {"messages": [TURN], "top_k": 40.0, "max_tokens": 5e1, "seed": -1.0}),
    (Operation.CHAT, {"messages": [TURN], "n": 2.0, "top_logprobs": 3.0}),
    (Operation.EMBEDDINGS, {"input": [[1.0, 2.0]], "dimensions": 8.0}),
    (Operation.RERANK, {"query": "q", "documents": ["d"], "top_n": 1.0}),
    (Operation.IMAGES, {"prompt": "p", "n": 1.0}),
]


@given(WHOLE)
@pytest.mark.parametrize("spelling", ["{}", "{}.0", "{}.000", "{}e0", "{}.0E+0"])
def test_every_spelling_of_a_whole_number_is_an_integer(spelling, number):
    read = loads(b'{"a": [%s]}' % spelling.format(number).encode())
    assert read == {"a": [number]}
    assert type(read["a"][0]) is int


@given(VALUES)
def test_nothing_else_changes(value):
    assert loads(json.dumps({"held": value}).encode()) == {"held": value}


@pytest.mark.parametrize("text", ["40.5", "1e300", "9007199254740994.0", '"40.0"'])
def test_other_numbers_and_texts_stay(text):
    assert type(loads(f"[{text}]".encode())[0]) is type(json.loads(text))


def test_deep_nesting_is_read():
    assert loads(b'{"a":' * 1000 + b"1.0" + b"}" * 1000)


@pytest.mark.parametrize(("operation", "body"), BODIES)
def test_every_operation_takes_them(operation, body):
    line = lines.read(json.dumps({"custom_id": "a", "body": body}).encode())
    assert validated(SCHEMAS[operation], line.body)
    assert not any(isinstance(value, float) for value in line.body.values())
