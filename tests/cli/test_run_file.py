import json

import pytest

from cli.run.file import BadLineError, parse, read


def test_a_string_is_a_prompt():
    line = parse(3, '"Why?"', "acme/small")
    assert line.body == {
        "messages": [{"role": "user", "content": "Why?"}],
        "model": "acme/small",
    }
    assert (line.number, line.custom_id) == (3, "line-3")


def test_an_object_keeps_its_own_model_and_parameters():
    text = json.dumps({"prompt": "Why?", "model": "a/b", "max_tokens": 5, "custom_id": "x"})
    line = parse(1, text, "acme/small")
    assert line.custom_id == "x"
    assert line.body == {
        "messages": [{"role": "user", "content": "Why?"}],
        "model": "a/b",
        "max_tokens": 5,
    }


def test_a_chat_body_passes_through_without_streaming():
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    body = {"messages": messages, "models": ["a/b"], "stream": True, "stream_options": {}}
    assert parse(1, json.dumps(body), None).body == {"messages": messages, "models": ["a/b"]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("17", "neither a JSON string"),
        ('["a"]', "neither a JSON string"),
        ('""', "something in it"),
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
        parse(1, text, "acme/small")


def test_a_line_needs_a_model_from_somewhere():
    with pytest.raises(BadLineError, match="no model"):
        parse(1, '"a"', None)


def test_problems_carry_the_number_an_editor_shows():
    found = read(['"a"', "", "{", '{"prompt": "b", "custom_id": "line-1"}'], "m/m")
    assert [line.number for line in found.lines][:1] == [1]
    assert [problem.split(":")[0] for problem in found.problems] == ["line 3", "line 4"]
    assert "that of line 1" in found.problems[1]


def test_the_digest_follows_content_not_spelling():
    same = [
        parse(1, '{"prompt":"a","max_tokens":1}', "m/m"),
        parse(1, '{"max_tokens":1, "prompt":"a"}', "m/m"),
    ]
    assert same[0].digest == same[1].digest
    assert parse(1, '{"prompt":"b","max_tokens":1}', "m/m").digest != same[0].digest
