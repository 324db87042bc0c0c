"""Every adapter against every recorded answer that its wire covers."""

import base64
import importlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from broker.completion import AttemptOutcome, Chunk, CompletionRequest
from tests.contract.exchanges import Exchange, all_exchanges, own_exchanges, parametrize
from tests.contract.folding import counts, fold, said
from tests.contract.oracles.failures import suiting
from workers.adapters.base import Adapter, MalformedAnswerError, ProviderFailureError
from workers.adapters.registry import ADAPTERS
from workers.upstream.assembly import Assembly

WIRES = {
    "openai-chat": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "cohere": "cohere",
    "converse": "bedrock",
    "openai-responses": "responses",
}
"""The recordings' `api` -> our wire. A new one needs an oracle in `oracles/<api>.py`."""

VENDOR_WIRES = {("openai-chat", "mistral"): "mistral", ("openai-chat", "azure"): "azure"}
"""Vendors whose requests have a wire of their own although their answers are of another `api`."""

CHATS = ("chat", "responses")
"""The recordings' names of the operation."""

ENVELOPE = {"id": "x", "created": 0, "model": "x"}


def chats(*, failed: bool) -> list[Exchange]:
    """Return the exchanges of chats in a wire of ours: those that failed, or the others."""
    return [
        exchange
        for exchange in all_exchanges()
        if exchange["operation"] in CHATS
        and wire_of(exchange) in ADAPTERS
        and (exchange["response"]["status"] >= 300) is failed
    ]


def wire_of(exchange: Exchange) -> str | None:
    api = exchange["api"]
    return VENDOR_WIRES.get((api, exchange["provider"])) or WIRES.get(api)


def adapter_of(exchange: Exchange) -> Adapter:
    return ADAPTERS[wire_of(exchange)]


def body_of(exchange: Exchange) -> bytes:
    response = exchange["response"]
    if response.get("body_encoding") == "base64":
        return base64.b64decode(response["body"])
    return response["body"].encode()


def request_of(exchange: Exchange) -> CompletionRequest:
    # Other wires' recorded requests are in the provider's shape, not in ours.
    body = exchange["request"]["body"] if exchange["api"] == "openai-chat" else {"messages": []}
    streamed = "stream" in exchange["tags"]
    return CompletionRequest(body=body, model=exchange["model"] or "", stream=streamed)


def oracle_of(exchange: Exchange) -> Any:
    return importlib.import_module(f"tests.contract.oracles.{exchange['api'].replace('-', '_')}")


def read_stream(exchange: Exchange, cuts: list[int]) -> list[Chunk]:
    reader = adapter_of(exchange).create_stream_reader(request_of(exchange))
    body = body_of(exchange)
    edges = [0, *cuts, len(body)]
    chunks: list[Chunk] = []
    for start, end in pairwise(edges):
        chunks += reader.feed(body[start:end])
    return chunks + reader.close()


def read(exchange: Exchange) -> tuple[Any, Any]:
    if "stream" in exchange["tags"]:
        return fold(read_stream(exchange, []))
    completion = adapter_of(exchange).read_response(body_of(exchange), request_of(exchange))
    return completion.choices, completion.usage


def outcome(exchange: Exchange, cuts: list[int]) -> Any:
    """The folded answer, or which error it was: what no cutting may change."""
    try:
        return fold(read_stream(exchange, cuts))
    except (MalformedAnswerError, ProviderFailureError) as error:
        return type(error), str(error)


ANSWERS = parametrize(chats(failed=False))
ERRORS = parametrize(chats(failed=True))
STREAMS = parametrize(each for each in chats(failed=False) if "stream" in each["tags"])


@pytest.mark.parametrize("wire", sorted({*WIRES.values(), *VENDOR_WIRES.values()}))
def test_the_repository_has_an_answer_a_stream_and_an_error_of_each_wire(wire):
    kinds = {
        "error" if "error" in each["tags"] else "stream" if "stream" in each["tags"] else "answer"
        for each in own_exchanges()
        if each["operation"] in CHATS and wire_of(each) == wire
    }
    assert kinds == {"answer", "stream", "error"}


@pytest.mark.parametrize("exchange", ANSWERS)
def test_an_answer_says_what_the_recording_says(exchange):
    wanted = oracle_of(exchange).expected(exchange)
    if wanted.failure:
        with pytest.raises(ProviderFailureError) as caught:
            read(exchange)
        assert caught.value.failure.outcome is AttemptOutcome.REJECTED
        return
    if wanted.unfinished:
        with pytest.raises(MalformedAnswerError):
            read(exchange)
        return
    choices, usage = read(exchange)
    assert said(choices) == wanted.choices
    assert_same_counts(counts(usage), wanted.counts)
    ids = [call["id"] for c in choices for call in c["message"].get("tool_calls") or ()]
    assert len(set(ids)) == len(ids)
    if wanted.call_ids:
        assert tuple(ids) == wanted.call_ids


def assert_same_counts(counted: Any, wanted: Any) -> None:
    if wanted is None:
        assert counted is None
        return
    for name in ("prompt", "completion", "cached", "cost_nanos"):
        assert getattr(counted, name) == getattr(wanted, name), name
    if wanted.reasoning is not None:
        # A part never exceeds the whole, whatever a gateway's own tokenizer counted.
        assert counted.reasoning == min(wanted.reasoning, counted.completion)


@pytest.mark.parametrize("exchange", ANSWERS)
def test_an_answer_has_the_sdks_shape(exchange):
    wanted = oracle_of(exchange).expected(exchange)
    if wanted.failure or wanted.unfinished:
        pytest.skip("no answer")
    if "stream" not in exchange["tags"]:
        choices, _ = read(exchange)
        body = ENVELOPE | {"object": "chat.completion", "choices": choices}
        ChatCompletion.model_validate(body)
        return
    for chunk in read_stream(exchange, []):
        body = ENVELOPE | {"object": "chat.completion.chunk", "choices": chunk.choices}
        ChatCompletionChunk.model_validate(body)


@pytest.mark.parametrize("exchange", STREAMS)
def test_the_stored_answer_is_the_fold_of_the_chunks(exchange):
    wanted = oracle_of(exchange).expected(exchange)
    if wanted.failure or wanted.unfinished:
        pytest.skip("no answer")
    assembly = Assembly(lambda _: None)
    chunks = read_stream(exchange, [])
    for chunk in chunks:
        assembly.add(chunk)
    folded, usage = fold(chunks)
    answer = assembly.completion()
    assert answer.usage == usage
    for stored, choice in zip(answer.choices, folded, strict=True):
        assert stored["finish_reason"] == choice["finish_reason"]
        kept = {**choice["message"]}
        kept.pop("reasoning_details", None)  # stored joined, see the tests of the assembly
        assert {name: stored["message"][name] for name in kept} == kept


@pytest.mark.parametrize("exchange", STREAMS)
def test_no_cutting_changes_a_stream(exchange):
    whole = outcome(exchange, [])
    size = len(body_of(exchange))
    assert outcome(exchange, list(range(1, size))) == whole

    @settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.integers(0, size), max_size=12).map(sorted))
    def at_random(cuts):
        assert outcome(exchange, cuts) == whole

    at_random()


@pytest.mark.parametrize("exchange", ERRORS)
def test_an_error_gets_a_suiting_type(exchange):
    response = exchange["response"]
    failure = adapter_of(exchange).read_error(
        response["status"], response["headers"], body_of(exchange)
    )
    assert failure.outcome is AttemptOutcome.REJECTED
    assert failure.http_status == response["status"]
    assert failure.error_type in suiting(response["status"], response["body"])
    assert failure.message
