import pytest

from broker.completion import Usage
from workers.adapters.openai.usage import read_usage

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
    # A part never exceeds the whole.
    ({"prompt_tokens": 78, "completion_tokens": 9, "total_tokens": 87,
      "prompt_tokens_details": {"cached_tokens": 158}}, Usage(input=0, cache_read=78, output=9)),
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
    ({"prompt_tokens": -1, "completion_tokens": True, "cost": "dear"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "usage"), CASES)
def test_usage(raw, usage):
    assert read_usage(raw) == usage


def test_a_cost_beyond_all_measure_is_none():
    assert read_usage({"prompt_tokens": 1, "cost": 1e300}) == Usage(input=1)
