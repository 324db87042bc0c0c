"""OpenAI's hints: who takes which, and which are named as unread."""

import pytest

from broker.requests.hints import HINTS, NO_HINTS, find_taken, find_unread_hints
from broker.requests.operations import Interface


@pytest.mark.parametrize(
    ("wire", "quirks", "interface", "taken"),
    [
        ("openai", {"openai_hints"}, Interface.PATHS, HINTS),
        ("openai", {"openrouter_fields"}, Interface.PATHS, HINTS),
        ("openai", {"max_tokens"}, Interface.PATHS, NO_HINTS),
        ("openai", {"max_tokens"}, Interface.RESPONSES, HINTS),
        ("mistral", (), Interface.PATHS, {"prompt_cache_key"}),
        ("responses", (), Interface.PATHS, HINTS),
        ("anthropic", (), Interface.PATHS, NO_HINTS),
    ],
)
def test_an_endpoint_takes(wire, quirks, interface, taken):
    assert find_taken(wire, quirks, interface) == taken


def test_unread_hints_are_those_that_are_set():
    body = {"verbosity": "low", "prompt_cache_key": "k", "safety_identifier": None}
    assert find_unread_hints(body, NO_HINTS) == ["prompt_cache_key", "verbosity"]
    assert find_unread_hints(body, frozenset({"prompt_cache_key"})) == ["verbosity"]
