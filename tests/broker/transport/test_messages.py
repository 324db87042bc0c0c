"""Messages in Celery's and Kombu's format: each side reads what the other wrote."""

import base64

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.queues import RUN_JOBS_TASK
from broker.transport.messages import (
    MalformedMessageError,
    create_message,
    decode_document,
    encode_document,
)

QUEUE = "sim.interactive"
IDS = st.lists(st.text(), max_size=40)


@given(IDS)
def test_a_message_survives_encoding(ids):
    message = create_message(QUEUE, ids)
    assert decode_document(QUEUE, encode_document(message)) == message
    assert message.task == RUN_JOBS_TASK


def document(**changes):
    """Return an encoded message with these parts replaced."""
    return orjson.dumps(orjson.loads(encode_document(create_message(QUEUE, ["job_1"]))) | changes)


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        document(headers=None),
        document(headers={"id": "x"}),
        document(headers={"id": 1, "task": "t"}),
        document(body="no base64: ?"),
        document(body=base64.b64encode(b"{").decode()),
        document(body=base64.b64encode(b"[[], {}, {}]").decode()),
        document(body=base64.b64encode(b"[[[1, 2]], {}, {}]").decode()),
        document(body=base64.b64encode(b"[[5], {}, {}]").decode()),
        document(body=None),
        document(properties=[]),
    ],
    ids=map(str, range(14)),
)
def test_what_is_no_message_is_refused(malformed):
    with pytest.raises(MalformedMessageError):
        decode_document(QUEUE, malformed)


@given(st.binary())
def test_arbitrary_bytes_are_refused(data):
    with pytest.raises(MalformedMessageError):
        decode_document(QUEUE, data)


def test_a_body_without_base64_is_read():
    plain = document(body='[[["job_1"]], {}, {}]', properties={})
    assert decode_document(QUEUE, plain).ids == ("job_1",)
