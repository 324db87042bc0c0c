"""Waybill counts what is priced by the piece, since providers do not."""

from dataclasses import fields, replace
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.completion import Completion, CompletionRequest, Document, Media, Usage
from broker.pricing import Price
from broker.requests.operations import Operation
from tests.factories import make_endpoint
from workers.attempt.cost import AttemptCost, may_hide
from workers.attempt.response_bodies import usage_json
from workers.attempt.usage_counts import DETAILS, TOTALS, completed_usage, credible

PICTURE = {"type": "image_url", "image_url": {"url": "https://x"}}
TWO_PICTURES = {"messages": [{"role": "user", "content": [PICTURE, PICTURE]}]}
DRAWN = Completion(
    [{"index": 0, "finish_reason": "stop", "message": {"content": "", "images": [{}, {}, {}]}}],
    Usage(input=1, output=1),
)
MADE = [Media("1", "image/png", b""), Media("2", "image/webp", b"")]


@pytest.mark.parametrize(
    ("price", "body", "answer", "nanos"),
    [
        ({"image": 5}, TWO_PICTURES, DRAWN, 10),
        ({"image_output": 7}, TWO_PICTURES, DRAWN, 21),
        ({"image_output": 7}, {"prompt": "a cat"}, Document({"data": []}, media=MADE), 14),
        (
            {"characters": 15 * 10**9},
            {"input": "x" * 200},
            Document({}, media=[Media("1", "audio/mpeg", b"")]),
            3_000_000,
        ),
        ({"prompt": 10**6}, TWO_PICTURES, DRAWN, 1),
    ],
)
def test_pieces_are_paid(price, body, answer, nanos):
    job = SimpleNamespace(ocr_nanos=0, endpoint=make_endpoint(**price))
    assert AttemptCost.of(job, CompletionRequest(body, "m"), answer).cost_nanos == nanos


def test_prices_by_the_token_count_no_pieces():
    job = SimpleNamespace(ocr_nanos=0, endpoint=make_endpoint(prompt=10**6))
    cost = AttemptCost.of(job, CompletionRequest(TWO_PICTURES, "m"), DRAWN)
    assert cost.usage.input_images is None
    assert Price(prompt=10**6) == job.endpoint.price


@pytest.mark.parametrize(
    "message",
    [
        {"content": "x" * 400},
        {"content": None, "reasoning": "x" * 200, "refusal": "x" * 200},
        {
            "content": None,
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "n", "arguments": "x" * 399}}
            ],
        },
        {"content": None, "audio": {"data": "UklGRg==", "transcript": "x" * 400}},
    ],
)
def test_whatever_a_model_wrote_is_estimated_where_nobody_counted(message):
    begun = Completion([{"index": 0, "finish_reason": None, "message": message}])
    job = SimpleNamespace(ocr_nanos=0, endpoint=make_endpoint(completion=10**6))
    cost = AttemptCost.of(job, CompletionRequest({"messages": []}, "m"), begun)
    assert (cost.usage.output, cost.cost_nanos) == (100, 100)


def test_pictures_that_were_shown_are_paid_though_the_answer_was_cut_off():
    message = {"content": None, "images": [{}, {}]}
    begun = Completion([{"index": 0, "finish_reason": None, "message": message}])
    job = SimpleNamespace(ocr_nanos=0, endpoint=make_endpoint(image_output=7))
    assert AttemptCost.of(job, CompletionRequest({"messages": []}, "m"), begun).cost_nanos == 14


SAID = Completion([{"index": 0, "finish_reason": "stop", "message": {"content": "x" * 400}}])
SILENT = Completion([{"index": 0, "finish_reason": "stop", "message": {"content": ""}}])


@pytest.mark.parametrize(
    ("answer", "usage", "is_estimated"),
    [
        (SAID, Usage(input=0, output=0), True),
        (SAID, Usage(input=0, cache_read=0, output=0, reasoning=0), True),
        (SAID, Usage(input=0, output=0, cost_nanos=5), False),
        (SAID, Usage(input=10, output=0), False),
        (SILENT, Usage(input=0, output=0), False),
    ],
)
def test_zeros_beside_text_are_no_count(answer, usage, is_estimated):
    job = SimpleNamespace(ocr_nanos=0, endpoint=make_endpoint(prompt=10**6, completion=10**6))
    request = CompletionRequest({"messages": [{"role": "user", "content": "y" * 400}]}, "m")
    cost = AttemptCost.of(job, request, replace(answer, usage=usage))
    assert cost.usage.estimated is is_estimated
    if is_estimated:
        assert cost.usage.output == 100
        assert cost.cost_nanos > 0


@pytest.mark.parametrize(
    ("stated", "output", "is_estimated"),
    [
        (Usage(input=10, output=1), 100, True),
        (Usage(input=10), 100, True),
        (Usage(input=10, output=300), 300, False),
    ],
)
def test_part_of_an_answer_keeps_what_was_stated(stated, output, is_estimated):
    request = CompletionRequest({"messages": []}, "m")
    usage = completed_usage(request, replace(SAID, usage=stated)).usage
    assert (usage.input, usage.output, usage.estimated) == (10, output, is_estimated)


def test_the_tier_that_served_the_call_counts():
    job = SimpleNamespace(ocr_nanos=0, endpoint=make_endpoint(prompt=10**9, batch_discount=40))
    for asked, served, nanos in [
        ("flex", "flex", 500), ("flex", "default", 1_000), ("flex", None, 1_000),
        ("default", "priority", 2_000), ("auto", "fast", 2_000), ("auto", "scale", 1_000),
        (None, "batch", 600),
    ]:  # fmt: skip
        answer = Completion(WRITTEN, Usage(input=1, output=1), service_tier=served)
        request = CompletionRequest({"messages": [], "service_tier": asked}, "m")
        assert AttemptCost.of(job, request, answer).cost_nanos == nanos


WRITTEN = [{"index": 0, "finish_reason": "stop", "message": {"content": "x" * 400}}]


def test_searches_cost_apart_and_are_shown():
    job = SimpleNamespace(ocr_nanos=0, endpoint=make_endpoint(prompt=10**9, web_search=10_000_000))
    answer = Completion(WRITTEN, Usage(input=1, output=1, searches=3))
    cost = AttemptCost.of(job, CompletionRequest({"messages": []}, "m"), answer)
    assert (cost.cost_nanos, cost.search_nanos) == (30_001_000, 30_000_000)
    told = usage_json(cost)
    assert told["cost_details"] == {"web_search_cost": 0.03}
    assert told["server_tool_use"] == {"web_search_requests": 3}


@pytest.mark.parametrize(
    ("stated", "deviates"),
    [
        (None, False), (1_000_000, False), (1_009_000, False), (991_000, False),
        (1_050_000, True), (950_000, True), (0, True),
    ],
)  # fmt: skip
def test_a_providers_own_statement_checks_the_cost(stated, deviates):
    job = SimpleNamespace(id="job_1", ocr_nanos=0, endpoint=make_endpoint(prompt=10**12))
    answer = Completion(WRITTEN, Usage(input=1, output=1, cost_nanos=stated))
    cost = AttemptCost.of(job, CompletionRequest({"messages": []}, "m"), answer)
    assert (cost.cost_nanos, cost.deviates) == (1_000_000, deviates)


SOUND = {"input_audio": {"data": "A" * 32_000, "format": "mp3"}}  # 24 kB: about 3 seconds


@pytest.mark.parametrize(
    ("price", "body", "answer", "nanos"),
    [
        # whisper's plain forms say nothing of the length
        ({"audio_hour": 3_600_000}, SOUND, Document({"text": "a"}), 3_000),
        ({"audio_hour": 3_600_000}, SOUND, Document({"text": "a"}, Usage(input_audio_ms=500)), 500),
        ({"completion": 10**6}, SOUND, Document({"text": "x" * 40}), 10),
        # speech that is billed by tokens, which nobody states
        ({"audio_output": 10**6}, {"input": "x" * 100},
         Document({}, media=[Media("1", "audio/mpeg", b"")]), 150),
        ({"image_output_token": 10**6}, {"prompt": "x"}, Document({}, media=MADE), 2_200),
        ({"request": 7}, {"documents": []}, Document({}, Usage(input=0, output=0, requests=3)), 21),
        ({"web_search": 5}, {"messages": [], "web_search_options": {}},
         Completion(WRITTEN, Usage(input=1, output=1)), 5),
    ],
)  # fmt: skip
def test_what_no_provider_states_is_counted(price, body, answer, nanos):
    job = SimpleNamespace(ocr_nanos=0, endpoint=make_endpoint(**price))
    assert AttemptCost.of(job, CompletionRequest(body, "m"), answer).cost_nanos == nanos


COUNTS = [each.name for each in fields(Usage) if each.name != "estimated"]
DEAR = dict.fromkeys(
    ["prompt", "completion", "request", "image", "characters", "audio_hour", "page", "web_search"],
    1000 * 10**9,
)


@given(
    st.dictionaries(
        st.sampled_from(COUNTS),
        st.one_of(
            st.integers(0, 10**4), st.integers(-5, 10**40), st.just(2**63), st.floats(), st.text()
        ),
    ),
    st.booleans(),
)
def test_no_statement_makes_a_cost_that_cannot_be_stored(stated, as_stated):
    assert set(COUNTS) == TOTALS.keys() | DETAILS.keys()
    job = SimpleNamespace(
        id="job_1", ocr_nanos=0, endpoint=make_endpoint(**DEAR, as_stated=as_stated)
    )
    answer = Completion(WRITTEN, Usage(**stated))
    cost = AttemptCost.of(job, CompletionRequest({"messages": []}, "m"), answer)
    assert 0 <= cost.cost_nanos < 2**63
    assert orjson.loads(orjson.dumps(usage_json(cost)))


@pytest.mark.parametrize("name", sorted(DETAILS))
@pytest.mark.parametrize("count", [-1, 10**12, 10**30, 1.5, "7", True])
def test_a_detail_that_cannot_be_true_counts_as_not_stated(name, count):
    if name == "cost_nanos" and count == 10**12:
        return
    usage = Usage(input=3, output=4, **{name: count})
    assert credible(usage) == Usage(input=3, output=4)


def test_searches_that_nobody_can_have_made_are_not_charged():
    job = SimpleNamespace(
        id="job_1", ocr_nanos=0, endpoint=make_endpoint(prompt=10**6, web_search=5_000_000)
    )
    answer = Completion(WRITTEN, Usage(input=1, output=1, searches=10**12))
    cost = AttemptCost.of(job, CompletionRequest({"messages": []}, "m"), answer)
    assert (cost.cost_nanos, cost.usage.searches) == (1, None)


@pytest.mark.parametrize(
    ("operation", "hides"),
    [(Operation.CHAT, False), (Operation.SPEECH, True), (Operation.IMAGES, True)],
)
def test_a_part_of_a_document_is_not_counted(operation, hides):
    endpoint = SimpleNamespace(supported_parameters=frozenset({"seed"}), price=Price())
    job = SimpleNamespace(operation=operation, stream=True, endpoint=endpoint)
    assert may_hide(job) is hides
