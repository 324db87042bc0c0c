import pytest

from broker.completion import Usage
from workers.adapters.openai.usage import find_usage, read_usage

CASES = [
    (None, None),
    ({}, None),
    ("many", None),
    ({"prompt_tokens": None, "completion_tokens": None}, None),
    ({"prompt_tokens": 3, "completion_tokens": 0}, Usage(input=3, output=0)),
    ({"prompt_tokens": 463, "completion_tokens": None}, Usage(input=463)),
    (
        {"prompt_tokens": 10, "completion_tokens": 7, "total_tokens": 17,
         "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3, "audio_tokens": 1},
         "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 2,
                                       "image_tokens": 1}},
        Usage(input=3, cache_read=4, cache_write=3, output=7, reasoning=5, input_audio=1,
              output_audio=2, output_image=1),
    ),
    # None differs from 0.
    ({"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0},
      "completion_tokens_details": None}, Usage(input=1, cache_read=0, output=1)),
    # DeepSeek, Mistral, Together.
    ({"prompt_tokens": 598, "completion_tokens": 27, "prompt_cache_hit_tokens": 512,
      "prompt_cache_miss_tokens": 86}, Usage(input=86, cache_read=512, output=27)),
    ({"prompt_tokens": 9, "completion_tokens": 1, "num_cached_tokens": 4},
     Usage(input=5, cache_read=4, output=1)),
    ({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 0},
     Usage(input=9, cache_read=0, output=1)),
    # xAI: reasoning outside; ten ticks are a nano-dollar.
    ({"prompt_tokens": 506, "completion_tokens": 12, "total_tokens": 556,
      "prompt_tokens_details": {"cached_tokens": 448},
      "completion_tokens_details": {"reasoning_tokens": 38}, "cost_in_usd_ticks": 955600},
     Usage(input=58, cache_read=448, output=50, reasoning=38, cost_nanos=95560)),
    # Google's compatible endpoint: thoughts only in the total.
    ({"prompt_tokens": 66, "completion_tokens": 6, "total_tokens": 100},
     Usage(input=66, output=34, reasoning=28)),
    # Databricks: the cache outside of the prompt.
    ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 65,
      "cache_read_input_tokens": 20, "cache_creation_input_tokens": 30},
     Usage(input=10, cache_read=20, cache_write=30, output=5)),
    # A part never exceeds the whole: what was read beyond the prompt lies beside it,
    ({"prompt_tokens": 3, "completion_tokens": 550, "total_tokens": 553,
      "prompt_tokens_details": {"cached_tokens": 12304}},
     Usage(input=3, cache_read=12304, output=550)),
    # unless the prompt's parts are stated, and are all of it (Azure).
    ({"prompt_tokens": 78, "completion_tokens": 9, "total_tokens": 87,
      "prompt_tokens_details": {"cached_tokens": 158, "text_tokens": 78}},
     Usage(input=0, cache_read=78, output=9)),
    # One call writes a cache and reads it.
    ({"prompt_tokens": 5000, "completion_tokens": 9, "total_tokens": 5009,
      "prompt_tokens_details": {"cached_tokens": 4900, "cache_write_tokens": 4900}},
     Usage(input=100, cache_read=4900, cache_write=4900, cache_both=4900, output=9)),
    ({"prompt_tokens": 2649, "completion_tokens": 100, "total_tokens": 2749,
      "prompt_tokens_details": {"cached_tokens": 2569, "cache_write_tokens": 79}},
     Usage(input=1, cache_read=2569, cache_write=79, output=100)),
    # Mistral: sound beside the prompt.
    ({"prompt_audio_seconds": 1, "prompt_tokens": 9, "completion_tokens": 30, "total_tokens": 139,
      "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 100}},
     Usage(input=109, cache_read=0, output=30, input_audio=100, input_audio_ms=1000)),
    ({"prompt_tokens": 40, "completion_tokens": 14, "total_tokens": 54,
      "completion_tokens_details": {"reasoning_tokens": 43}},
     Usage(input=40, output=14, reasoning=14)),
    ({"prompt_tokens": 40, "completion_tokens": 14,
      "completion_tokens_details": {"reasoning_tokens": 43}},
     Usage(input=40, output=57, reasoning=43)),
    # Costs: OpenRouter's number, Perplexity's object, a true nothing.
    ({"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.00001785},
     Usage(input=1, output=1, cost_nanos=17_850)),
    ({"prompt_tokens": 1, "completion_tokens": 1, "cost": {"total_cost": 0.00609}},
     Usage(input=1, output=1, cost_nanos=6_090_000)),
    ({"prompt_tokens": 1, "completion_tokens": 1, "cost": 0},
     Usage(input=1, output=1, cost_nanos=0)),
    # OpenRouter with a key of the account's own: its fee and the vendor's charge.
    ({"prompt_tokens": 1, "completion_tokens": 1, "cost": 0, "is_byok": True,
      "cost_details": {"upstream_inference_cost": 0.00445}},
     Usage(input=1, output=1, cost_nanos=4_450_000)),
    ({"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.0002, "is_byok": True,
      "cost_details": {"upstream_inference_cost": 0.004}},
     Usage(input=1, output=1, cost_nanos=4_200_000)),
    ({"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.0002, "is_byok": True,
      "cost_details": {"upstream_inference_cost": None}},
     Usage(input=1, output=1, cost_nanos=200_000)),
    ({"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.005, "is_byok": False,
      "cost_details": {"upstream_inference_cost": 0.004}},
     Usage(input=1, output=1, cost_nanos=5_000_000)),
    # Searches that are billed apiece.
    ({"prompt_tokens": 1, "completion_tokens": 1, "server_tool_use": {"web_search_requests": 2}},
     Usage(input=1, output=1, searches=2)),
    ({"prompt_tokens": -1, "completion_tokens": True, "cost": "dear"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "usage"), CASES)
def test_usage(raw, usage):
    assert read_usage(raw) == usage


def test_a_cost_beyond_all_measure_is_none():
    assert read_usage({"prompt_tokens": 1, "cost": 1e300}) == Usage(input=1)


@pytest.mark.parametrize(
    ("raw", "output", "reasoning"),
    [
        ((20, 5, 25, 40), 45, 40),
        ((100, 300, 400, 200), 500, 200),  # nothing in the counts shows it
        ((10, 5, None, 3), 8, 3),
        ((10, 5, 15, None), 5, None),
    ],
)
def test_reasoning_beside_the_output_is_output(raw, output, reasoning):
    prompt, completion, total, thought = raw
    told = {"prompt_tokens": prompt, "completion_tokens": completion}
    told |= {} if total is None else {"total_tokens": total}
    details = {} if thought is None else {"reasoning_tokens": thought}
    usage = read_usage(told | {"completion_tokens_details": details}, reasoning_apart=True)
    assert usage == Usage(input=prompt, output=output, reasoning=reasoning)


COUNTS = {"prompt_tokens": 5000, "completion_tokens": 70, "total_tokens": 5070}


@pytest.mark.parametrize(
    "payload",
    [
        {"usage": COUNTS},
        {"usage": None, "choices": [{"index": 0, "usage": COUNTS}]},  # Moonshot
        {"choices": [{"delta": {"usage": COUNTS}}]},
        {"choices": [{"message": {"usage": COUNTS}}]},
        {"choices": [{"usage": COUNTS}, {"usage": COUNTS}]},  # the same, said twice
        {"choices": [], "x_groq": {"id": "1", "usage": COUNTS}},
        {"choices": None, "meta": {"usage": COUNTS}},
    ],
)
def test_usage_is_found_wherever_it_stands(payload):
    assert read_usage(find_usage(payload)) == Usage(input=5000, output=70)


def test_choices_that_count_apart_share_one_prompt():
    choices = [{"usage": {"prompt_tokens": 10, "completion_tokens": n}} for n in (3, 4)]
    assert read_usage(find_usage({"choices": choices})) == Usage(input=10, output=7)


@pytest.mark.parametrize("payload", [{}, {"choices": [{"usage": None}]}, {"error": {"usage": 1}}])
def test_usage_that_is_nowhere_is_none(payload):
    assert read_usage(find_usage(payload)) is None
