"""Every adapter against every recorded answer of a real provider that its wire covers.

The recordings are read where they lie (`WAYBILL_EXCHANGES`, else beside the repository) and are
never copied into it; without them these tests skip.
"""

import base64
import importlib
import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from broker.completion import AttemptOutcome, Chunk, CompletionRequest
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
}
"""The recordings' `api` -> our wire. A new one needs an oracle in `oracles/<api>.py`."""

VENDOR_WIRES = {("openai-chat", "mistral"): "mistral", ("openai-chat", "azure"): "azure"}
"""Vendors whose requests have a wire of their own although their answers are of another `api`."""

REPOSITORY = Path(__file__).parents[2]
RECORDINGS = Path(
    os.environ.get("WAYBILL_EXCHANGES") or REPOSITORY.parent / "shared/exchanges/dev.jsonl"
)


def recordings(*, failed: bool) -> list[Any]:
    if not RECORDINGS.exists():
        reason = f"no recorded exchanges at {RECORDINGS} (set WAYBILL_EXCHANGES)"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="absent")]
    with RECORDINGS.open(encoding="utf-8") as lines:
        exchanges = [json.loads(line) for line in lines]
    return [
        pytest.param(exchange, id=exchange["id"])
        for exchange in exchanges
        if exchange["operation"] == "chat"
        and wire_of(exchange) in ADAPTERS
        and (exchange["response"]["status"] >= 300) is failed
    ]


def wire_of(exchange: dict[str, Any]) -> str | None:
    api = exchange["api"]
    return VENDOR_WIRES.get((api, exchange["provider"])) or WIRES.get(api)


def adapter_of(exchange: dict[str, Any]) -> Adapter:
    return ADAPTERS[wire_of(exchange)]


def body_of(exchange: dict[str, Any]) -> bytes:
    response = exchange["response"]
    if response.get("body_encoding") == "base64":
        return base64.b64decode(response["body"])
    return response["body"].encode()


def request_of(exchange: dict[str, Any]) -> CompletionRequest:
    # Other wires' recorded requests are in the provider's shape, not in ours.
    body = exchange["request"]["body"] if exchange["api"] == "openai-chat" else {"messages": []}
    streamed = "stream" in exchange["tags"]
    return CompletionRequest(body=body, model=exchange["model"] or "", stream=streamed)


def oracle_of(exchange: dict[str, Any]) -> Any:
    return importlib.import_module(f"tests.contract.oracles.{exchange['api'].replace('-', '_')}")


def read_stream(exchange: dict[str, Any], cuts: list[int]) -> list[Chunk]:
    reader = adapter_of(exchange).create_stream_reader(request_of(exchange))
    body = body_of(exchange)
    edges = [0, *cuts, len(body)]
    chunks: list[Chunk] = []
    for start, end in pairwise(edges):
        chunks += reader.feed(body[start:end])
    return chunks + reader.close()


def read(exchange: dict[str, Any]) -> tuple[Any, Any]:
    if "stream" in exchange["tags"]:
        return fold(read_stream(exchange, []))
    completion = adapter_of(exchange).read_response(body_of(exchange), request_of(exchange))
    return completion.choices, completion.usage


def outcome(exchange: dict[str, Any], cuts: list[int]) -> Any:
    """The folded answer, or which error it was: what no cutting may change."""
    try:
        return fold(read_stream(exchange, cuts))
    except (MalformedAnswerError, ProviderFailureError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("exchange", recordings(failed=False))
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


@pytest.mark.parametrize("exchange", recordings(failed=False))
def test_an_answer_has_the_sdks_shape(exchange):
    wanted = oracle_of(exchange).expected(exchange)
    if wanted.failure or wanted.unfinished:
        pytest.skip("no answer")
    envelope = {"id": "x", "created": 0, "model": "x"}
    if "stream" not in exchange["tags"]:
        choices, _ = read(exchange)
        body = envelope | {"object": "chat.completion", "choices": choices}
        ChatCompletion.model_validate(body)
        return
    for chunk in read_stream(exchange, []):
        body = envelope | {"object": "chat.completion.chunk", "choices": chunk.choices}
        ChatCompletionChunk.model_validate(body)


STREAMS = [
    parameter
    for parameter in recordings(failed=False)
    if parameter.values[0] is None or "stream" in parameter.values[0]["tags"]
]


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


@pytest.mark.parametrize("exchange", recordings(failed=True))
def test_an_error_gets_a_suiting_type(exchange):
    response = exchange["response"]
    failure = adapter_of(exchange).read_error(
        response["status"], response["headers"], body_of(exchange)
    )
    assert failure.outcome is AttemptOutcome.REJECTED
    assert failure.http_status == response["status"]
    assert failure.error_type in suiting(response["status"], response["body"])
    assert failure.message
