"""Every field of OpenRouter's chat body on every wire: sent in a known form, consumed, or refused.

A vendor that is strict about fields answers an unknown one with 400, so what OpenRouter alone
knows must not leave for another vendor.
"""

import json

import pytest

from broker.completion import AttemptOutcome, CompletionRequest, ErrorType
from broker.errors import InvalidRequestError
from broker.providers.vendors import vendors
from broker.requests.bodies import SCHEMAS, validated
from broker.requests.operations import Operation
from workers.adapters.base import ProviderFailureError, Upstream
from workers.adapters.openai.quirks import OpenAiQuirk
from workers.adapters.registry import ADAPTERS
from workers.attempt.job_run import ROUTING_FIELDS

TURN = {"role": "user", "content": "Hello"}
TOOL = {
    "type": "function",
    "defer_loading": True,
    "function": {"name": "f", "parameters": {"type": "object"}, "defer_loading": True},
}
FIELDS = {
    "models": ["a/b"], "route": "fallback", "provider": {"order": ["x"]}, "preset": "p",
    "plugins": [{"id": "response-healing"}], "transforms": ["middle-out"],
    "usage": {"include": True}, "debug": {"echo_upstream_body": True}, "trace": {"trace_id": "t"},
    "session_id": "s", "metadata": {"a": "b"}, "user": "u",
    "max_tokens": 100, "max_completion_tokens": 100, "temperature": 1, "top_p": 0.9, "top_k": 5,
    "min_p": 0.1, "top_a": 0.1, "frequency_penalty": 0.1, "presence_penalty": 0.1,
    "repetition_penalty": 1.1, "seed": 7, "stop": ["a"], "logit_bias": {"5": 1}, "logprobs": True,
    "top_logprobs": 2, "tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False,
    "max_tool_calls": 3, "stop_server_tools_when": [{"type": "step_count_is", "step_count": 2}],
    "deferred_tools": {"version": 1}, "response_format": {"type": "json_object"},
    "prediction": {"type": "content", "content": "x"},
    "reasoning": {"effort": "low", "summary": "auto", "exclude": False, "enabled": True},
    "reasoning_effort": "low", "include_reasoning": True, "verbosity": "low",
    "web_search_options": {}, "modalities": ["text"], "image_config": {"aspect_ratio": "1:1"},
    "service_tier": "flex", "prompt_cache_key": "k", "prompt_cache_options": {"ttl": "1h"},
    "cache_control": {"type": "ephemeral"}, "stream_options": {"include_usage": True},
}  # fmt: skip
OPENROUTERS = (
    *("max_tool_calls", "stop_server_tools_when", "deferred_tools", "image_config"),
    *("prompt_cache_options", "include_reasoning", "defer_loading", "ultrafast"),
)
"""Fields that only OpenRouter knows by this name."""
KNOWN_BY_QUIRK = {OpenAiQuirk.OPENROUTER_FIELDS, OpenAiQuirk.REASONING_OBJECT}
WIRES = pytest.mark.parametrize("wire", ADAPTERS)
STRICT = [
    each
    for each in vendors().values()
    if not KNOWN_BY_QUIRK & set(each.quirks) and each.wire in ADAPTERS
]


def sent(wire, body, quirks=()):
    asked = {name: value for name, value in body.items() if name not in ROUTING_FIELDS}
    upstream = Upstream(
        "p", "https://h/v1", "a:b", options={"region": "us-east-1"}, quirks=frozenset(quirks)
    )
    request = CompletionRequest({"messages": [TURN], **asked}, "some-model")
    return json.loads(ADAPTERS[wire].build_request(request, upstream).body)


def refusal(wire, body, quirks=()):
    with pytest.raises(ProviderFailureError) as caught:
        sent(wire, body, quirks)
    assert caught.value.failure.outcome is AttemptOutcome.NOT_SENT
    assert caught.value.failure.error_type is ErrorType.INVALID_REQUEST
    return caught.value.failure.message


def names(value):
    """Return the names of all fields and all texts of a body."""
    if isinstance(value, dict):
        return {*value, *(name for each in value.values() for name in names(each))}
    if isinstance(value, list):
        return {name for each in value for name in names(each)}
    return {value} if isinstance(value, str) else set()


def test_every_documented_field_is_taken():
    assert validated(SCHEMAS[Operation.CHAT], {"messages": [TURN], "model": "a/b", **FIELDS})


@pytest.mark.parametrize("vendor", STRICT, ids=lambda vendor: vendor.slug)
@pytest.mark.parametrize("tier", ["flex", "ultrafast"])
def test_openrouters_own_fields_reach_no_other_vendor(vendor, tier):
    body = sent(vendor.wire, {**FIELDS, "service_tier": tier}, vendor.quirks)
    own = {"defer_loading"} if vendor.wire == "anthropic" else set()  # Anthropic's name for it
    assert not names(body) & {*OPENROUTERS, *ROUTING_FIELDS - {"model", "stream"}} - own
    assert body.get("metadata", {}) in ({}, {"user_id": "u"})  # the caller's own is kept here


def test_openrouter_gets_its_own_fields():
    body = sent("openai", FIELDS, vendors()["openrouter"].quirks)
    assert {*OPENROUTERS} - {"ultrafast"} <= names(body)


def test_stored_answers_keep_their_metadata():
    assert sent("openai", {**FIELDS, "store": True})["metadata"] == {"a": "b"}


@pytest.mark.parametrize(("wire", "name"), [("openai", "service_tier"), ("bedrock", "serviceTier")])
def test_a_tier_of_openrouters_gets_the_vendors_name(wire, name):
    given = sent(wire, {"service_tier": "fast"})[name]
    assert given in ("priority", {"type": "priority"})


def test_an_unknown_tier_is_refused_by_name():
    with pytest.raises(InvalidRequestError, match="service_tier: must be"):
        validated(SCHEMAS[Operation.CHAT], {"messages": [TURN], "service_tier": "turbo"})


@WIRES
@pytest.mark.parametrize("kind", ["grammar", "python"])
def test_a_format_that_few_know_is_refused_by_name(wire, kind):
    assert refusal(wire, {"response_format": {"type": kind}}).startswith("response_format.type:")


@pytest.mark.parametrize(
    ("wire", "quirks", "most"),
    [("openai", vendors()[slug].quirks, 4) for slug in ("openai", "groq", "azure")]
    + [("gemini", (), 5), ("cohere", (), 5)],
)
def test_more_stop_words_than_a_vendor_takes_are_refused_by_name(wire, quirks, most):
    words = list("abcdefgh")
    assert sent(wire, {"stop": words[:most]}, quirks)
    assert refusal(wire, {"stop": words}, quirks).startswith(
        f"stop: the provider takes {most} stop sequences at most, and there are 8."
    )


@pytest.mark.parametrize(("wire", "quirks"), [("openai", ()), ("anthropic", ()), ("mistral", ())])
def test_other_vendors_take_as_many_as_there_are(wire, quirks):
    assert sent(wire, {"stop": list("abcdefgh")}, quirks)
