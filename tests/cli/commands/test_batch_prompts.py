"""A line of a file of prompts: what it asks for, or what is wrong with it."""

import json

import pytest

from broker.batches.prompt_files import BadLineError, read_request


def body(text, model="acme/small"):
    return read_request(json.loads(text), 1, model)["body"]


def test_a_string_is_a_prompt():
    assert read_request("Why?", 3, "acme/small") == {
        "custom_id": "line-3",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"messages": [{"role": "user", "content": "Why?"}], "model": "acme/small"},
    }


def test_an_object_keeps_its_own_model_and_parameters():
    value = {"prompt": "Why?", "model": "a/b", "max_tokens": 5, "custom_id": "x"}
    asked = read_request(value, 1, "acme/small")
    assert asked["custom_id"] == "x"
    assert asked["body"] == {
        "messages": [{"role": "user", "content": "Why?"}],
        "model": "a/b",
        "max_tokens": 5,
    }


def test_a_chat_body_passes_through_without_streaming():
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    asked = {"messages": messages, "models": ["a/b"], "stream": True, "stream_options": {}}
    assert body(json.dumps(asked), None) == {"messages": messages, "models": ["a/b"]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("17", "neither a JSON string"),
        ('["a"]', "neither a JSON string"),
        ('""', "is not blank"),
        ('{"prompt": 5}', "must be a string"),
        ("{}", "either `prompt` or `messages`"),
        ('{"prompt": "a", "messages": []}', "either `prompt` or `messages`"),
        ('{"messages": []}', "at least one message"),
        ('{"messages": "hi"}', "at least one message"),
        ('{"prompt": "a", "custom_id": 5}', "custom_id"),
        ('{"prompt": "a", "custom_id": ""}', "custom_id"),
    ],
)
def test_what_cannot_be_submitted_says_why(text, reason):
    with pytest.raises(BadLineError, match=reason):
        body(text)


def test_a_line_needs_a_model_from_somewhere():
    with pytest.raises(BadLineError, match="no model"):
        body('"a"', None)
