"""Embeddings reach the caller in the encoding that was asked for, whichever the vendor uses."""

import base64
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.completion import CompletionRequest
from broker.providers.vendors import vendors
from broker.requests.operations import Operation
from workers.adapters.base import MalformedAnswerError, Upstream
from workers.operations.embeddings import build_embeddings
from workers.operations.registry import operation_adapter

PERPLEXITY = vendors()["perplexity"]
QUIRKS = frozenset(PERPLEXITY.quirks)
SIGNED = st.lists(st.integers(-128, 127), min_size=1, max_size=20)


def adapter(quirks=QUIRKS):
    return operation_adapter(Operation.EMBEDDINGS, "openai", frozenset(quirks))


def asked(encoding):
    return CompletionRequest({"input": "a", "encoding_format": encoding}, "m")


def answered(embedding, encoding, quirks=QUIRKS):
    answer = json.dumps({"data": [{"index": 0, "embedding": embedding}]}).encode()
    [entry] = adapter(quirks).read_response(answer, asked(encoding)).body["data"]
    return entry["embedding"]


def packed(numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


@given(SIGNED)
def test_signed_bytes_become_floats_or_packed_floats(numbers):
    sent = base64.b64encode(struct.pack(f"{len(numbers)}b", *numbers)).decode()
    assert answered(sent, "float") == numbers
    assert answered(sent, "base64") == packed(numbers)


@given(SIGNED)
@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_other_vendors_may_answer_in_either_encoding(encoding, numbers):
    wanted = packed(numbers) if encoding == "base64" else numbers
    assert answered(numbers, encoding, ()) == wanted
    assert answered(packed(numbers), encoding, ()) == wanted


@pytest.mark.parametrize("embedding", ["!!!", "QUFBQUE="])
def test_what_is_no_vector_is_an_error(embedding):
    with pytest.raises(MalformedAnswerError):
        answered(embedding, "float", ())


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (PERPLEXITY.base_url, "https://api.perplexity.ai/v1/embeddings"),
        ("https://proxy.example/v1", "https://proxy.example/v1/embeddings"),
    ],
)
@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_perplexity_is_asked_for_bytes_at_its_own_address(base, url, encoding):
    built = adapter().build_request(
        asked(encoding), Upstream("perplexity", base, "k", quirks=QUIRKS)
    )
    assert built.url == url
    assert json.loads(built.body) == {
        "input": "a",
        "encoding_format": "base64_int8",
        "model": "m",
    }


@pytest.mark.parametrize("number", [1e39, -1e39, 10**400], ids=["large", "small", "huge"])
def test_numbers_beyond_32_bit_floats_are_a_malformed_answer(number):
    with pytest.raises(MalformedAnswerError, match="32-bit"):
        build_embeddings(asked("base64"), [[0.5, number]])
