"""The cost of recorded answers, against genai-prices' own calculation.

Both start from the provider's bytes: ours goes through the adapter, the usage and `pricing.cost`;
the other reads the raw usage object with genai-prices' extractors and multiplies its decimals.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from genai_prices.types import Usage as TheirUsage

from broker.catalog.priced import build_price, load_price_list
from broker.pricing import cost
from tests.contract.exchanges import Exchange, parametrize
from tests.contract.test_recorded_exchanges import chats, read, wire_of

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SETS = {"xai": "x-ai", "vertexai": "google", "bedrock": "aws"}  # the recordings' name → the set's
FLAVOURS = {"anthropic": "default", "gemini": "default", "converse": "default", "cohere": "default"}
ENOUGH = 20
UNFINISHED = {"error_in_200", "no_finish_reason"}


def events_of(exchange: Exchange) -> list[dict[str, Any]]:
    body = exchange["response"]["body"]
    if "stream" not in exchange["tags"]:
        return [json.loads(body)]
    lines = [line[5:].strip() for line in body.splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines if line and line != "[DONE]"]


def raw_answer(exchange: Exchange) -> dict[str, Any] | None:
    """Return an answer with the usage that counts, as an unstreamed one has it."""
    events = events_of(exchange)
    if exchange["api"] == "anthropic" and "stream" in exchange["tags"]:
        usage = next(e["message"]["usage"] for e in events if e["type"] == "message_start")
        for event in events:
            usage = usage | event["usage"] if event["type"] == "message_delta" else usage
        return {"usage": usage}
    key = "usageMetadata" if exchange["api"] == "gemini" else "usage"
    said = [e[key] for e in events if e.get(key)]
    said += [e["x_groq"]["usage"] for e in events if (e.get("x_groq") or {}).get("usage")]
    return {key: said_plainly(said[-1])} if said else None


def said_plainly(usage: dict[str, Any]) -> dict[str, Any]:
    """Write two vendors' habits, which the extractors do not know, as OpenAI writes them."""
    counted = {"prompt_tokens", "completion_tokens", "total_tokens"}
    if usage.keys() == counted:  # Google's compatible API: the rest of the total was thinking
        return usage | {"completion_tokens": usage["total_tokens"] - usage["prompt_tokens"]}
    if usage.get("num_cached_tokens"):  # Mistral
        return usage | {"prompt_tokens_details": {"cached_tokens": usage["num_cached_tokens"]}}
    return usage


def their_model(exchange: Exchange) -> tuple[Any, Any] | None:
    provider = load_price_list().get(SETS.get(exchange["provider"], exchange["provider"]))
    if provider is None or not exchange["model"]:
        return None
    model = provider.find_model(exchange["model"], all_providers=list(load_price_list().values()))
    return (provider, model) if model is not None else None


def their_cost(exchange: Exchange) -> tuple[Any, int, bool] | None:
    """Return the model, its cost in nano-dollars and whether searches are in it.

    None where the set cannot tell. It does not see Google's searches, which no usage counts.
    """
    found = their_model(exchange)
    answer = raw_answer(exchange)
    if found is None or answer is None or not found[0].extractors:
        return None
    provider, model = found
    flavours = [each.api_flavor for each in provider.extractors]
    flavour = FLAVOURS.get(exchange["api"], "chat")
    flavour = flavour if flavour in flavours else flavours[0]
    named = answer | {"model": exchange["model"], "modelVersion": exchange["model"]}
    _, usage = provider.extract_usage(named, api_flavor=flavour)
    kept = {
        name: value
        for name, value in usage._reported_values().items()
        if "executions" not in name  # no vendor says how long its machines ran
    }
    calculated = model.calc_price(TheirUsage(**kept), provider, genai_request_timestamp=NOW)
    nanos = (calculated.total_price * 10**9).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    return model, int(nanos), any("searches" in name for name in kept)


def costed() -> list[Exchange]:
    """Return the recordings whose cost both can tell."""
    found = []
    for exchange in chats(failed=False):
        if UNFINISHED & set(exchange["tags"]):
            continue
        if wire_of(exchange) == "bedrock" or exchange["response"].get("body_encoding"):
            continue  # framed in binary; its counts are those of the same models elsewhere
        try:
            if their_cost(exchange) is not None:
                found.append(exchange)
        except (ValueError, KeyError, StopIteration, LookupError):
            continue  # the set reads no usage there: an error, a stream cut short
    return found


COSTED = costed()


@pytest.mark.parametrize("exchange", parametrize(COSTED))
def test_an_answer_costs_what_another_calculation_says(exchange: Exchange) -> None:
    model, nanos, with_searches = their_cost(exchange)
    _, usage = read(exchange)
    counted = usage if with_searches else replace(usage, searches=None)
    assert cost(build_price(model, NOW), counted) == nanos


def test_enough_recordings_are_compared() -> None:
    tags = {tag for exchange in COSTED for tag in exchange["tags"]}
    assert len(COSTED) >= ENOUGH
    assert {"cache_read", "cache_write", "reasoning_tokens", "image", "stream"} <= tags
