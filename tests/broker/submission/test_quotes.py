"""Holds: an upper bound of what a call costs, and what it probably costs."""

import base64

import pytest

from broker.pricing import Price
from broker.providers.endpoints import Endpoint
from broker.requests.operations import Operation
from broker.routing import Plan, PlanStep
from broker.submission.quotes import UNSTATED_LEAST_NANOS, compute_quotes

PRICE = Price(prompt=1_000_000, completion=1_000_000)  # a nano-dollar a token
TEXT = "x" * 396  # 100 tokens, by the rule of thumb
OVERHEAD = 260  # of a call and its message


def wave(*, kind=1, channels=1, rate=16_000, frame=2, bits=16, samples=320_000):
    """Return a WAV file in base64, with a header that may lie."""
    numbers = ((16, 4), (kind, 2), (channels, 2), (rate, 4), (rate * frame % 2**32, 4), (frame, 2),
               (bits, 2))  # fmt: skip
    stated = b"".join(number.to_bytes(size, "little") for number, size in numbers)
    header = b"RIFF" + bytes(4) + b"WAVEfmt " + stated + b"data" + bytes(4)
    return base64.b64encode(header + bytes(samples)).decode()


WAVE = wave(rate=8_000)  # 20 seconds, as few bytes a second as WAV is held for


def quoted(body=None, *, operation=Operation.CHAT, price=PRICE, most_written=None, **endpoint):
    endpoint = Endpoint("p", "m", "n", price=price, max_completion_tokens=most_written, **endpoint)
    asked = {"messages": [{"role": "user", "content": TEXT}]} if operation is Operation.CHAT else {}
    plan = Plan([PlanStep(endpoint, "only one")])
    return compute_quotes(asked | (body or {}), operation, plan, likely=1_000, most=16_000)


@pytest.mark.parametrize(
    ("body", "likely", "most", "words"),
    [
        ({}, 1_000, 16_000, "max_tokens is not set"),
        ({"max_tokens": 50}, 50, 50, "as asked"),
        ({"max_completion_tokens": 60, "max_tokens": 50}, 60, 60, "as asked"),
        ({"max_completion_tokens": 50, "max_tokens": 60}, 60, 60, "as asked"),
        ({"max_tokens": 50, "n": 3}, 150, 150, "as asked"),
        ({"max_tokens": 1_000_000}, 1_000_000, 1_000_000, "as asked"),  # in full
        ({"max_tokens": 50, "reasoning": {"effort": "high"}}, 50, 1_074, "as asked"),
        ({"max_tokens": 50, "reasoning": {"max_tokens": 9_000}}, 50, 9_050, "as asked"),
    ],
)
def test_output_that_is_held(body, likely, most, words):
    found = quoted(body)
    assert found.least == (100 + likely,)
    assert found.nanos == (396 + OVERHEAD + most,)
    assert words in found.bound


def test_a_call_that_sets_no_limit_is_held_for_the_longest_answer_of_its_model():
    assert quoted(most_written=64_000).nanos == (396 + OVERHEAD + 64_000,)
    assert quoted(most_written=500).least == (100 + 500,)


MEGABYTE = "x" * 1_000_000
TEXT_FILE = {"type": "file", "file": {"file_data": "data:text/plain," + MEGABYTE}}
TEXT_DOCUMENT = {"type": "document", "source": {"type": "text", "data": MEGABYTE}}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": MEGABYTE}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"description": MEGABYTE}}}
SCHEMA = {"type": "json_schema", "json_schema": {"schema": {"enum": [MEGABYTE]}}}


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": MEGABYTE}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": MEGABYTE}]}]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [CALL]}]},
        {"messages": [{"role": "tool", "tool_call_id": "1", "content": MEGABYTE}]},
        {"messages": [{"role": "assistant", "reasoning_details": [{"text": MEGABYTE}]}]},
        {"messages": [{"role": "user", "name": MEGABYTE, "content": ""}]},
        {"tools": [TOOL]},
        {"tools": [{"type": "function", "function": {"name": "f", MEGABYTE: 1}}]},
        {"response_format": SCHEMA},
        {"prediction": {"type": "content", "content": MEGABYTE}},
        {"anything": {"else": [MEGABYTE]}},
        {"provider": {"options": {"p": {"system": MEGABYTE}}}},
        {"messages": [{"content": [TEXT_FILE]}]},
        {"messages": [{"content": [TEXT_DOCUMENT]}]},
    ],
)  # fmt: skip
def test_every_byte_that_leaves_is_held_for(body):
    found = quoted({"messages": [], "max_tokens": 1, **body})
    assert found.nanos[0] >= 1_000_000
    assert found.least[0] >= 250_000


def pdf(pages):
    data = b"%PDF-1.7" + b"<< /Type /Pages >>" + b"<< /Type /Page >>" * pages
    return "data:application/pdf;base64," + base64.b64encode(data).decode()


def part(kind, **held):
    return {"messages": [{"role": "user", "content": [{"type": kind, kind: held}]}]}


@pytest.mark.parametrize(
    ("body", "most"),
    [
        (part("image_url", url="https://example.org/x.png"), 5_000),
        (part("file", file_data=pdf(20)), 20 * 4_700),
        (part("file", file_data="https://example.org/x.pdf"), 100 * 4_700),
        (part("input_audio", data=WAVE, format="wav"), 20 * 35),
        (part("video_url", url="https://example.org/x.mp4"), 100_000),
    ],
)
def test_media_are_held_for_by_their_size(body, most):
    found = quoted(body | {"max_tokens": 1})
    assert most <= found.nanos[0] <= 1.2 * most + OVERHEAD + 100


@pytest.mark.parametrize(
    "lie",
    [
        {"frame": 65_535},
        {"rate": 2**32 - 1},
        {"channels": 65_535},
        {"bits": 65_535},
        {"frame": 65_535, "rate": 2**32 - 1, "channels": 65_535, "bits": 65_535},
        {"kind": 3, "rate": 2**32 - 1},
        {"kind": 0xFFFE, "channels": 65_535, "bits": 65_535},
        {"rate": 0},
        {"channels": 0},
        {"bits": 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("operation", [Operation.CHAT, Operation.TRANSCRIPTIONS])
def test_a_wave_header_that_lies_does_not_lower_the_hold(lie, operation):
    price = Price(audio_hour=360_000_000)
    data = wave(**lie, samples=1_600_000)  # 100 seconds of 16 bit at 8 kHz
    body = part("input_audio", data=data) if operation is Operation.CHAT else {
        "input_audio": {"data": data, "format": "wav"}
    }  # fmt: skip
    assert quoted(body, operation=operation, price=price).nanos[0] >= 10_000_000


def test_the_likely_length_of_a_wave_file_is_what_its_header_states():
    body = {"input_audio": {"data": wave(), "format": "wav"}}
    found = quoted(body, operation=Operation.TRANSCRIPTIONS, price=Price(audio_hour=360_000_000))
    assert 1_000_000 <= found.least[0] <= 1_200_000


@pytest.mark.parametrize(
    ("operation", "price", "body", "nanos"),
    [
        (Operation.SPEECH, Price(characters=15 * 10**9), {"input": "x" * 4_000}, 60_000_000),
        (Operation.SPEECH, Price(audio_output=12 * 10**9), {"input": "x" * 4_000}, 144_000_000),
        (Operation.TRANSCRIPTIONS, Price(audio_hour=360_000_000),
         {"input_audio": {"data": WAVE, "format": "wav"}}, 2_000_000),
        (Operation.IMAGES, Price(image_output=40_000_000), {"prompt": "a", "n": 3}, 120_000_000),
        (Operation.IMAGES, Price(image_output_token=40 * 10**9), {"prompt": "a", "n": 2},
         504_000_000),
        (Operation.CHAT, Price(image=5_000_000), part("image_url", url="https://x"), 5_000_000),
        (Operation.CHAT, Price(page=1_000_000), part("file", file_data=pdf(7)), 7_000_000),
        (Operation.CHAT, Price(request=12_000_000), {}, 12_000_000),
        (Operation.CHAT, Price(web_search=10_000_000),
         {"tools": [{"type": "web_search_20250305", "max_uses": 5}]}, 50_000_000),
        (Operation.CHAT, Price(web_search=35_000_000), {"tools": [{"google_search": {}}]},
         350_000_000),
        (Operation.CHAT, Price(web_search=10_000_000), {"web_search_options": {}}, 100_000_000),
        (Operation.RERANK, Price(request=2_000_000), {"query": "a", "documents": ["b"] * 250},
         6_000_000),
        (Operation.RERANK, Price(request=2_000_000), {"query": "a", "documents": ["b" * 100_000]},
         6_000_000),
        (Operation.COMPLETIONS, Price(completion=10**9),
         {"prompt": ["a", "b"], "max_tokens": 100, "best_of": 5}, 1_000_000),
        (Operation.COMPLETIONS, Price(completion=10**9), {"prompt": [1, 2], "max_tokens": 9},
         9_000),
        (Operation.EMBEDDINGS, Price(prompt=10**9), {"input": [[1, 2, 3]] * 100}, 550_000),
    ],
)  # fmt: skip
def test_every_unit_of_price_is_held(operation, price, body, nanos):
    bound = quoted(body, operation=operation, price=price).nanos[0]
    assert nanos <= bound <= 1.2 * nanos


@pytest.mark.parametrize(
    ("tier", "likely", "most"),
    [("priority", 2, 2), ("fast", 2, 2), ("auto", 1, 2), ("flex", 1, 1), ("default", 1, 1)],
)
def test_a_dearer_tier_holds_more(tier, likely, most):
    usual = quoted({"max_tokens": 1_000})
    found = quoted({"max_tokens": 1_000, "service_tier": tier})
    assert found.least[0] == likely * usual.least[0]
    assert found.nanos[0] == most * usual.nanos[0]


def test_a_price_that_comes_with_the_answer_holds_a_cent_at_least():
    found = quoted(price=Price(as_stated=True))
    assert found.least == (UNSTATED_LEAST_NANOS,)
    assert found.nanos[0] > UNSTATED_LEAST_NANOS


def test_a_body_may_be_nested_deeper_than_calls_may_be():
    schema = {"type": "string", "description": MEGABYTE}
    for _ in range(5_000):
        schema = {"type": "object", "properties": {"p": schema}}
    assert quoted({"tools": [{"type": "function", "function": {"parameters": schema}}]}).nanos[
        0
    ] > len(MEGABYTE)
