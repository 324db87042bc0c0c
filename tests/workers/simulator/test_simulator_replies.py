from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.simulator.behaviour import parse
from workers.simulator.replies import STORY, compose, count_tokens, inline, pieces, read_link
from workers.simulator.wire import Attachment, Request, Tool


def reply_to(text, model="sim", **more):
    return compose(Request(model, text=text, **more), parse(model))


def test_the_plain_answer_quotes_how_the_prompt_begins():
    text = reply_to("Why is the sky blue, and why is the sea green?").text
    assert text.startswith("You wrote “Why is the sky blue, and why is…”.")


def test_a_short_prompt_is_quoted_whole():
    assert reply_to("Hello there!").text.startswith("You wrote “Hello there”.")


def test_an_empty_prompt_has_an_answer_too():
    assert "empty" in reply_to("  ").text


PICTURE = Attachment("image", "image/png", 68)
LINK = Attachment("image", "https://example.com/cat.jpg")
PAPER = Attachment("document", "application/pdf", 1234)
SOUND = Attachment("sound", "audio/wav", 44)


@pytest.mark.parametrize(
    ("attachments", "words"),
    [
        ([PICTURE], "received 1 image (image/png, 68 bytes)."),
        ([PICTURE, LINK], "2 images (image/png, 68 bytes; https://example.com/cat.jpg)."),
        ([PAPER, PICTURE], "1 image (image/png, 68 bytes) and 1 document (application/pdf, 1234"),
        ([PAPER, PICTURE, SOUND], "bytes), 1 document (application/pdf, 1234 bytes) and 1 sound"),
    ],
)
def test_attachments_are_mentioned(attachments, words):
    assert words in reply_to("What is this?", attachments=tuple(attachments)).text


def test_nothing_is_received_where_nothing_is_attached():
    assert "received" not in reply_to("What is this?").text


@given(st.binary(max_size=50))
def test_the_size_of_base64_is_known_undecoded(data):
    assert inline("image/png", b64encode(data).decode()).size == len(data)
    address = f"data:image/png;base64,{b64encode(data).decode()}"
    assert read_link(address, "document") == Attachment("image", "image/png", len(data))


@pytest.mark.parametrize(
    ("text", "answer"),
    [("one", "Your prompt has 1 word."), ("a b\nc", "Your prompt has 3 words.")],
)
def test_words_are_counted(text, answer):
    assert reply_to(text, "sim-words").text == answer


def test_a_story_is_told():
    assert reply_to("Tell me", "sim-story").text == STORY


@given(st.text(), st.integers(0, 2000), st.sampled_from(["", "-echo", "-story"]))
def test_an_answer_has_the_tokens_asked_for(text, tokens, style):
    reply = reply_to(text, f"sim-tok{tokens}{style}")
    assert count_tokens(reply.text) == reply.tokens == tokens
    assert len(pieces(reply.text)) == tokens


@given(st.text(), st.integers(1, 60))
def test_no_answer_is_longer_than_its_limit(text, limit):
    whole, cut = reply_to(text, "sim-echo"), reply_to(text, "sim-echo", max_tokens=limit)
    assert cut.tokens == min(limit, whole.tokens)
    assert cut.truncated == (whole.tokens > limit)


@given(st.text())
def test_pieces_are_the_text(text):
    assert "".join(pieces(text)) == text


WEATHER = Tool("weather", {"type": "object", "properties": {"city": {"type": "string"}}})
CLOCK = Tool("clock", {"type": "object"})


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ('Please clock({"zone": {"of": "Rome"}}) now', "clock", '{"zone": {"of": "Rome"}}'),
        ('spell({"word": "abc"})', "weather", None),  # it is not offered
        ('clock({"zone": })', "weather", None),
    ],
)
def test_the_tool_is_called_that_the_prompt_asks_for(text, name, arguments):
    (call,) = reply_to(text, "sim-tools", tools=(WEATHER, CLOCK)).calls
    assert call.name == name
    assert call.arguments == arguments or arguments is None
