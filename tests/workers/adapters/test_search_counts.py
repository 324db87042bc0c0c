"""Web searches of vendors' own tools, counted as each vendor bills them."""

import json

import pytest

from broker.catalog.vendor_facts import find_search_fee
from broker.completion import CompletionRequest
from workers.adapters.registry import ADAPTERS

BY_PROMPT, BY_QUERY = "gemini-2.5-flash", "gemini-3.1-flash-lite"
WEB = [{"web": {"uri": "https://example.org", "title": "t"}}]


def grounded(*queries, chunks=()):
    return {"webSearchQueries": list(queries), "groundingChunks": list(chunks)}


def gemini(*metadata):
    return {
        "candidates": [
            {
                "index": index,
                "content": {"role": "model", "parts": [{"text": "At noon."}]},
                "finishReason": "STOP",
                "groundingMetadata": each,
            }
            for index, each in enumerate(metadata)
        ],
        "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 10},
    }


def usages(wire, model, payload):
    """Return the usage of a whole answer and of a stream of one event."""
    adapter, body = ADAPTERS[wire], json.dumps(payload).encode()
    request = CompletionRequest({"messages": []}, model)
    reader = adapter.create_stream_reader(CompletionRequest({"messages": []}, model, stream=True))
    chunks = [*reader.feed(b"data: " + body + b"\n\n"), *reader.close()]
    return adapter.read_response(body, request).usage, next(c.usage for c in chunks if c.usage)


@pytest.mark.parametrize(
    ("metadata", "by_prompt", "by_query"),
    [
        ([None], None, None),
        ([{}], None, None),
        ([grounded()], None, None),
        ([grounded("tides")], 1, 1),
        ([grounded("tides", "tide times")], 1, 2),
        ([grounded("tides", "tides", "")], 1, 1),
        ([grounded(chunks=WEB)], 1, 1),
        ([grounded("tides"), grounded("tides", "moon")], 1, 3),
    ],
)
def test_google_bills_a_prompt_or_each_query(metadata, by_prompt, by_query):
    for model, searches in ((BY_PROMPT, by_prompt), (BY_QUERY, by_query)):
        for usage in usages("gemini", model, gemini(*metadata)):
            assert usage.searches == searches


def test_anthropic_bills_each_search():
    payload = {
        "id": "1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "At noon."}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1,
                  "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 2}},
    }  # fmt: skip
    answer = ADAPTERS["anthropic"].read_response(
        json.dumps(payload).encode(), CompletionRequest({"messages": []}, "claude-sonnet-4-5")
    )
    assert answer.usage.searches == 3


@pytest.mark.parametrize(
    ("wire", "model", "nanos"),
    [
        ("anthropic", "claude-sonnet-4-5", 10_000_000),
        ("gemini", BY_PROMPT, 35_000_000),
        ("gemini", "gemini-2.0-flash", 35_000_000),
        ("gemini", BY_QUERY, 14_000_000),
        ("gemini", "gemini-flash-latest", 14_000_000),
        ("openai", "gpt-5", 0),
    ],
)
def test_the_usual_fee(wire, model, nanos):
    assert find_search_fee(wire, model) == nanos
