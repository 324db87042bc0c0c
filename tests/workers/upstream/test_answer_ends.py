"""An answer ends where its protocol says so, on every wire, whatever the connection does then."""

import time

import pytest

from broker.completion import AttemptOutcome, Completion, CompletionRequest, Failure
from broker.settings import Settings
from tests.workers.adapters.streams import COUNTED, REQUEST, STREAMS
from tests.workers.upstream.provider_socket import End, Provider, ask
from workers.upstream.answer_body import LATE_USAGE_SECONDS
from workers.upstream.client import ProviderClient

WIRES = pytest.mark.parametrize("wire", STREAMS)
ENDS = pytest.mark.parametrize("end", End, ids=lambda end: end.name.lower())
PLAIN = CompletionRequest(REQUEST.body, "m")


def check_whole(answer: object) -> None:
    assert isinstance(answer, Completion), answer
    [choice] = answer.choices
    assert choice["message"]["content"] == "Hello world"
    assert choice["finish_reason"] == "stop"
    assert answer.usage is not None
    assert (answer.usage.input, answer.usage.output) == (COUNTED.input, COUNTED.output)


@WIRES
@ENDS
@pytest.mark.parametrize("request_", [REQUEST, PLAIN], ids=["stream", "plain"])
async def test_what_the_connection_does_after_the_end_changes_nothing(wire, end, request_):
    stream = STREAMS[wire]
    provider = Provider([f"content-type: {stream.content_type}"], [stream.whole], end)
    async with provider.serving() as address:
        began = time.monotonic()
        called = await ask(address, wire, request_)
        took = time.monotonic() - began
    check_whole(called.answer)
    assert took < 2


@WIRES
@ENDS
async def test_finish_reason_and_usage_are_enough(wire, end):
    stream = STREAMS[wire]
    events = [*stream.opening, *stream.text, *stream.finish, *stream.usage]
    provider = Provider([f"content-type: {stream.content_type}"], events, end)
    async with provider.serving() as address:
        began = time.monotonic()
        called = await ask(address, wire, REQUEST)
        took = time.monotonic() - began
    check_whole(called.answer)
    assert took < 2


@pytest.mark.parametrize("wire", ["openai", "bedrock"])
@pytest.mark.parametrize("end", [End.OPEN, End.COMMENTS])
async def test_a_usage_that_never_comes_is_waited_for_within_a_bound(wire, end):
    stream = STREAMS[wire]
    events = [*stream.opening, *stream.text, *stream.finish]
    provider = Provider([f"content-type: {stream.content_type}"], events, end)
    async with provider.serving() as address:
        began = time.monotonic()
        called = await ask(address, wire, REQUEST)
        took = time.monotonic() - began
    assert isinstance(called.answer, Completion)
    assert called.answer.choices[0]["finish_reason"] == "stop"
    assert called.answer.usage is None
    assert took < LATE_USAGE_SECONDS + 2


@WIRES
@pytest.mark.parametrize("end", [End.RESET, End.NO_LAST_CHUNK, End.PROPER])
async def test_an_event_that_is_cut_after_the_finish_reason_says_nothing(wire, end):
    stream = STREAMS[wire]
    rest = b"".join([*stream.usage, *stream.end]) or b"data: {"
    events = [*stream.opening, *stream.text, *stream.finish, rest[: len(rest) // 2]]
    provider = Provider([f"content-type: {stream.content_type}"], events, end)
    async with provider.serving() as address:
        called = await ask(address, wire, REQUEST)
    assert isinstance(called.answer, Completion), called.answer
    assert called.answer.choices[0]["message"]["content"] == "Hello world"


@WIRES
@pytest.mark.parametrize("end", [End.RESET, End.NO_LAST_CHUNK, End.PROPER])
async def test_a_stream_that_is_cut_before_it_said_anything_shows_nothing(wire, end):
    stream = STREAMS[wire]
    provider = Provider([f"content-type: {stream.content_type}"], stream.opening, end)
    async with provider.serving() as address:
        called = await ask(address, wire, REQUEST)
    assert isinstance(called.answer, Failure)
    assert called.answer.outcome is AttemptOutcome.UNKNOWN
    assert not called.answer.answered  # it may be asked again
    assert called.shown == []


@WIRES
async def test_a_stream_that_is_cut_in_its_text_is_no_answer(wire):
    stream = STREAMS[wire]
    events = [*stream.opening, *stream.text[:1]]
    provider = Provider([f"content-type: {stream.content_type}"], events, End.NO_LAST_CHUNK)
    async with provider.serving() as address:
        called = await ask(address, wire, REQUEST)
    assert isinstance(called.answer, Failure)
    assert [chunk.choices[0]["delta"]["content"] for chunk in called.shown][-1] == "Hello "


@WIRES
async def test_a_connection_that_ends_properly_is_used_again(wire):
    stream = STREAMS[wire]
    provider = Provider([f"content-type: {stream.content_type}"], [stream.whole])
    transport = ProviderClient(Settings())
    async with provider.serving() as address:
        for _ in range(3):
            check_whole((await ask(address, wire, REQUEST, transport=transport)).answer)
        await transport.aclose()
    assert (provider.requests, provider.connections) == (3, 1)


JSON_BODY = (
    b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello world"},'
    b' "finish_reason": "stop"}], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}'
)


@pytest.mark.parametrize("end", [End.RESET, End.NO_LAST_CHUNK, End.OPEN, End.PROPER])
async def test_a_whole_json_answer_stands(end):
    pieces = [JSON_BODY[:50], JSON_BODY[50:]]
    provider = Provider(["content-type: application/json"], pieces, end)
    async with provider.serving() as address:
        began = time.monotonic()
        called = await ask(address, "openai", PLAIN)
        took = time.monotonic() - began
    check_whole(called.answer)
    assert took < 2


@pytest.mark.parametrize("filler", [b"\n", b" ", b"\r\n\t" * 10_000])
async def test_endless_whitespace_after_a_whole_json_answer_ends_it_in_time(filler):
    head = ["content-type: application/json"]
    provider = Provider(head, [JSON_BODY], End.COMMENTS, filler=filler)
    async with provider.serving() as address:
        began = time.monotonic()
        called = await ask(address, "openai", PLAIN, most=100_000_000)
        took = time.monotonic() - began
    check_whole(called.answer)
    assert took < 2


async def test_whitespace_before_a_json_answer_keeps_the_caller_waiting():
    provider = Provider(["content-type: application/json"], [b"\n", b" ", JSON_BODY])
    async with provider.serving() as address:
        check_whole((await ask(address, "openai", PLAIN)).answer)


@pytest.mark.parametrize("end", [End.RESET, End.NO_LAST_CHUNK])
async def test_half_a_json_answer_is_a_cut_connection(end):
    provider = Provider(["content-type: application/json"], [b'{"choices": [{}'], end)
    async with provider.serving() as address:
        called = await ask(address, "openai", PLAIN)
    assert isinstance(called.answer, Failure)
    assert not called.answer.answered
