"""Parts of a usage are paid once, at their own price, whichever way a provider counts them.

The complaints: cached tokens billed twice across Gemini, OpenAI, xAI and Anthropic (litellm 14849,
6215, 14874, 37407, 40016), and in observers (langfuse 10592, 8559, 4590; Aider 5516).
"""

import json

import pytest

from broker.completion import CompletionRequest
from broker.pricing import Price, cost
from broker.requests.operations import Operation
from workers.adapters.registry import ADAPTERS
from workers.operations.registry import OPERATIONS

PRICE = Price(
    prompt=1_000_000_000,  # nano-dollars per million: a thousand a token
    completion=10_000_000_000,
    cache_read=100_000_000,
    cache_write=1_250_000_000,
    cache_write_1h=2_000_000_000,
    audio=5_000_000_000,
    image_token=3_000_000_000,
    image_output_token=40_000_000_000,
    audio_hour=360_000_000,
)


def openai(usage):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}
    return {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}


def anthropic(usage):
    return {"id": "1", "type": "message", "role": "assistant", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "x"}], "usage": usage}  # fmt: skip


def gemini(usage):
    content = {"role": "model", "parts": [{"text": "x"}]}
    return {"candidates": [{"content": content, "finishReason": "STOP"}], "usageMetadata": usage}


CASES = {
    "OpenAI: cached tokens are among the prompt's, reasoning among the completion's": (
        "openai",
        openai({"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050,
                "prompt_tokens_details": {"cached_tokens": 900},
                "completion_tokens_details": {"reasoning_tokens": 30}}),
        100 * 1_000 + 900 * 100 + 50 * 10_000,
    ),
    "xAI: reasoning is beside the completion": (
        "openai",
        openai({"prompt_tokens": 1000, "completion_tokens": 20, "total_tokens": 1050,
                "prompt_tokens_details": {"cached_tokens": 900},
                "completion_tokens_details": {"reasoning_tokens": 30}}),
        100 * 1_000 + 900 * 100 + 50 * 10_000,
    ),
    "OpenAI: audio is among the prompt's": (
        "openai",
        openai({"prompt_tokens": 1000, "completion_tokens": 0, "total_tokens": 1000,
                "prompt_tokens_details": {"audio_tokens": 400}}),
        600 * 1_000 + 400 * 5_000,
    ),
    "Anthropic: cached tokens are beside the input": (
        "anthropic",
        anthropic({"input_tokens": 100, "cache_read_input_tokens": 900,
                   "cache_creation_input_tokens": 0, "output_tokens": 50}),
        100 * 1_000 + 900 * 100 + 50 * 10_000,
    ),
    "Anthropic: what is kept for an hour is among what is written": (
        "anthropic",
        anthropic({"input_tokens": 100, "cache_creation_input_tokens": 500, "output_tokens": 0,
                   "cache_creation": {"ephemeral_5m_input_tokens": 300,
                                      "ephemeral_1h_input_tokens": 200}}),
        100 * 1_000 + 300 * 1_250 + 200 * 2_000,
    ),
    "Gemini: cached tokens are among the prompt's, thoughts beside the candidates'": (
        "gemini",
        gemini({"promptTokenCount": 1000, "cachedContentTokenCount": 900,
                "candidatesTokenCount": 20, "thoughtsTokenCount": 30, "totalTokenCount": 1050}),
        100 * 1_000 + 900 * 100 + 50 * 10_000,
    ),
    "Gemini: a picture made is among the candidates'": (
        "gemini",
        gemini({"promptTokenCount": 10, "candidatesTokenCount": 1300, "totalTokenCount": 1310,
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}]}),
        10 * 1_000 + 10 * 10_000 + 1290 * 40_000,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_token_is_paid_once_at_its_own_price(case):
    wire, body, nanos = CASES[case]
    request = CompletionRequest(body={"messages": []}, model="m")
    usage = ADAPTERS[wire].read_response(json.dumps(body).encode(), request).usage
    assert cost(PRICE, usage) == nanos


@pytest.mark.parametrize(
    ("operation", "body", "nanos"),
    [
        (
            Operation.TRANSCRIPTIONS,
            {"text": "x", "usage": {"type": "duration", "seconds": 90}},
            9_000_000,  # 0.36 dollars an hour
        ),
        (
            Operation.IMAGES,
            {
                "data": [],
                "usage": {
                    "input_tokens": 110,
                    "input_tokens_details": {"image_tokens": 100, "text_tokens": 10},
                    "output_tokens": 1000,
                    "output_tokens_details": {"image_tokens": 1000},
                },
            },
            10 * 1_000 + 100 * 3_000 + 1000 * 40_000,
        ),
    ],
)
def test_sound_and_pictures_are_paid_as_they_are_counted(operation, body, nanos):
    request = CompletionRequest(body={}, model="m")
    document = OPERATIONS[operation, "openai"].read_response(json.dumps(body).encode(), request)
    assert cost(PRICE, document.usage) == nanos
