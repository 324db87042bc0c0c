from cli.commands.submit import chat_body
from cli.output import answer_text


def test_options_become_a_chat_body():
    body = chat_body("hi", "a/b", system="be brief", max_tokens=9, fallbacks=["c/d"], stream=True)
    assert body == {
        "model": "a/b",
        "models": ["c/d"],
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
        ],
        "max_tokens": 9,
        "stream": True,
    }


def test_nothing_is_added_that_was_not_asked_for():
    body = chat_body("hi", "a/b", system=None, max_tokens=None, fallbacks=[], stream=False)
    assert set(body) == {"model", "messages"}


def test_tool_calls_are_part_of_an_answer():
    message = {"content": None, "tool_calls": [{"id": "c1"}]}
    assert '"c1"' in answer_text({"choices": [{"message": message}]})
