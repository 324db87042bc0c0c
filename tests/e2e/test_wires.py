"""One question in, one shape out, whichever wire is behind: through the `openai` SDK, unchanged."""

from typing import Any

import openai
import pytest

from tests.e2e.wires import GEMINI_LIKE, OPENAI_LIKE, WIRES
from tests.installation import Installation, until
from tests.stacks import any_stack

pytestmark = any_stack

REASONS = (*OPENAI_LIKE, "anthropic")
"""Gemini's thoughts are asked for by the version in a model's name, and `sim-…` has none: its
signatures alone are seen here, its thoughts in tests/contract."""

COUNTS_STREAMS = tuple(wire for wire in WIRES if wire != "mistral")
"""Mistral refuses `stream_options` and counts all the same; the simulator counts when asked to."""

every_wire = pytest.mark.parametrize("wire", WIRES)


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def streamed(chunks: list[Any]) -> tuple[str, str]:
    """Return what a stream said and why it ended, having checked its form."""
    *parts, last = chunks
    choices = [choice for chunk in parts for choice in chunk.choices]
    assert [choice.delta.role for choice in choices if choice.delta.role] == ["assistant"]
    assert choices[0].delta.role == "assistant"
    reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
    assert len(reasons) == 1
    assert choices[-1].finish_reason
    assert {choice.index for choice in choices} == {0}
    assert len({chunk.id for chunk in chunks}) == 1
    assert [bool(chunk.usage) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    [empty] = last.choices
    assert (empty.delta.content, empty.finish_reason) == ("", None)
    return "".join(choice.delta.content or "" for choice in choices), reasons[0]


@every_wire
def test_a_question_is_answered_counted_and_charged(sdk: openai.OpenAI, wire: str) -> None:
    text = "Repeat what I say, all sixty-four characters of it, if you please"
    answer = sdk.chat.completions.create(model=f"{wire}/sim-echo", messages=said(text))
    [choice] = answer.choices
    assert (choice.message.content, choice.finish_reason) == (text, "stop")
    assert (answer.model, answer.model_extra["provider"]) == (f"{wire}/sim-echo", wire)
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (17, 17, 34)
    assert usage.cost == pytest.approx((17 * 3 + 17 * 15) / 1e6)
    assert "estimated" not in usage.model_extra


@every_wire
def test_a_stream_has_one_form(sdk: openai.OpenAI, wire: str) -> None:
    chunks = list(
        sdk.chat.completions.create(
            model=f"{wire}/sim-echo", messages=said("one two three four"), stream=True
        )
    )
    assert streamed(chunks) == ("one two three four", "stop")
    usage = chunks[-1].usage
    assert (usage.completion_tokens, usage.cost > 0) == (5 if wire != "mistral" else 4, True)
    assert ("estimated" not in usage.model_extra) == (wire in COUNTS_STREAMS)


@every_wire
def test_a_limit_ends_the_answer_in_length(sdk: openai.OpenAI, wire: str) -> None:
    text, tokens = "one two three " * 8, 16 if wire == "responses" else 2  # its least limit is 16
    asked = {"model": f"{wire}/sim-echo", "messages": said(text), "max_tokens": 2}
    [choice] = sdk.chat.completions.create(**asked).choices
    ended = (text[: 4 * tokens], "length")
    assert (choice.message.content, choice.finish_reason) == ended
    assert streamed(list(sdk.chat.completions.create(**asked, stream=True))) == ended


@every_wire
def test_parameters_that_a_wire_has_no_word_for_do_no_harm(sdk: openai.OpenAI, wire: str) -> None:
    answer = sdk.chat.completions.create(
        model=f"{wire}/sim-echo",
        messages=[{"role": "developer", "content": "Be brief."}, *said("hello")],
        frequency_penalty=0.1, logprobs=True, presence_penalty=0.1, seed=7, stop=["\n\n"],
        temperature=0.2, top_logprobs=2, top_p=0.9, user="ada", parallel_tool_calls=True,
        extra_body={"min_p": 0.1, "top_k": 5, "reasoning": {"effort": "low", "exclude": True}},
    )  # fmt: skip
    assert answer.choices[0].message.content == "hello"


@every_wire
def test_the_answer_may_be_begun(wires: Installation, sdk: openai.OpenAI, wire: str) -> None:
    begun = f"Once upon a time at {wire}"
    messages = [*said("Tell me."), {"role": "assistant", "content": begun}]
    assert sdk.chat.completions.create(model=f"{wire}/sim-echo", messages=messages).choices
    forms = {
        "mistral": f'{{"role":"assistant","content":"{begun}","prefix":true}}]',
        "responses": f'[{{"type":"output_text","text":"{begun}"}}]}}]',
        "anthropic": f'{{"role":"assistant","content":[{{"type":"text","text":"{begun}"}}]}}]',
        **dict.fromkeys(GEMINI_LIKE, f'{{"role":"model","parts":[{{"text":"{begun}"}}]}}]'),
    }
    form = forms.get(wire, f'{{"role":"assistant","content":"{begun}"}}]')
    assert wires.calls(form)["matching"] == 1


@pytest.mark.parametrize("wire", REASONS)
def test_reasoning_comes_beside_the_answer(sdk: openai.OpenAI, wire: str) -> None:
    asked = {"model": f"{wire}/sim-reason", "messages": said("Why?")}
    whole = sdk.chat.completions.create(**asked)
    message = whole.choices[0].message
    assert message.reasoning.startswith("First, what is being asked?")
    assert "First, what" not in message.content
    chunks = list(sdk.chat.completions.create(**asked, stream=True))
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    told = "".join(getattr(delta, "reasoning", None) or "" for delta in deltas)
    assert told == message.reasoning
    assert streamed(chunks) == (message.content, "stop")


@pytest.mark.parametrize(
    "wire", ["openai", "azure", "deployment", "gemini", "array", "vertex", "responses"]
)
def test_reasoning_is_counted(sdk: openai.OpenAI, wire: str) -> None:
    """Anthropic does not say how much of its output was thinking."""
    usage = sdk.chat.completions.create(model=f"{wire}/sim-reason", messages=said("Why?")).usage
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens


def test_anthropics_thinking_is_asked_for_and_hidden(sdk: openai.OpenAI) -> None:
    """Its plain model thinks as soon as `thinking` is sent."""
    asked = {"model": "anthropic/sim", "messages": said("Why?"), "reasoning_effort": "high"}
    assert sdk.chat.completions.create(**asked).choices[0].message.reasoning
    hidden = {"reasoning": {"exclude": True}}
    message = sdk.chat.completions.create(**asked, extra_body=hidden).choices[0].message
    assert {"reasoning", "reasoning_details"}.isdisjoint(message.model_extra)


@pytest.mark.parametrize("stream", [False, True])
def test_signed_reasoning_goes_back(wires: Installation, sdk: openai.OpenAI, stream: bool) -> None:
    """The simulator refuses a signature that it did not make, or that was changed.

    Anthropic's wire. Gemini's text signatures go back to models named `gemini-2.5` and later only;
    those of its calls are in test_wires_tools.
    """
    question = said(f"Why, {stream}?")
    wire = "anthropic"
    if stream:
        deltas = [
            choice.delta
            for chunk in sdk.chat.completions.create(
                model=f"{wire}/sim-reason", messages=question, stream=True
            )
            for choice in chunk.choices
        ]
        details = [each for d in deltas for each in getattr(d, "reasoning_details", None) or ()]
        content = "".join(delta.content or "" for delta in deltas)
        message = {"role": "assistant", "content": content, "reasoning_details": details}
    else:
        answer = sdk.chat.completions.create(model=f"{wire}/sim-reason", messages=question)
        message = answer.choices[0].message.model_dump(exclude_none=True)
    details = message["reasoning_details"]
    [seal] = [sign for each in details if (sign := each.get("signature") or each.get("data"))]
    conversation = [*question, message, *said("Go on.")]
    before = wires.calls(seal)["matching"]
    asked = {"model": f"{wire}/sim-echo", "messages": conversation}
    assert sdk.chat.completions.create(**asked).choices[0].message.content == "Go on."
    assert wires.calls(seal)["matching"] == before + 1
    for each in details:
        each.update({name: "Zm9yZ2Vk" for name in ("signature", "data") if each.get(name)})
    with pytest.raises(openai.BadRequestError, match=r"(?i)signature"):
        sdk.chat.completions.create(**asked)


@pytest.mark.parametrize("wire", ["openai"])
def test_unsigned_reasoning_goes_back_where_the_vendor_wants_it(
    wires: Installation, sdk: openai.OpenAI, wire: str
) -> None:
    """By the quirk `reasoning_content`; Mistral and Azure refuse it, so they are not sent it."""
    question = said("Why, and why again?")
    answer = sdk.chat.completions.create(model=f"{wire}/sim-reason", messages=question)
    message = answer.choices[0].message.model_dump(exclude_none=True)
    sent = '"reasoning_content":"First, what'  # other tests send it, too
    before = wires.calls(sent)["matching"]
    for each in ("openai", "mistral", "azure"):
        sdk.chat.completions.create(
            model=f"{each}/sim-echo", messages=[*question, message, *said("Go on.")]
        )
    assert wires.calls(sent)["matching"] == before + 1


@every_wire
def test_cache_marks_do_no_harm(sdk: openai.OpenAI, wire: str) -> None:
    part = {"type": "text", "text": "Hello.", "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "system", "content": [part]}, {"role": "user", "content": [part]}]
    answer = sdk.chat.completions.create(model=f"{wire}/sim-echo", messages=messages)
    assert answer.choices[0].message.content == "Hello."


@pytest.mark.parametrize("stream", [False, True])
def test_a_cached_prompt_is_cheaper_the_second_time(sdk: openai.OpenAI, stream: bool) -> None:
    """Anthropic's wire: the simulator's others have no cache."""
    rules = f"The rules of guild {stream}. " * 40  # 960 or 1000 characters
    part = {"type": "text", "text": rules, "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "system", "content": [part]}, *said("Go!!")]
    asked = {"model": "anthropic/sim-echo", "messages": messages}
    if stream:
        usages = [[*sdk.chat.completions.create(**asked, stream=True)][-1].usage for _ in "12"]
    else:
        usages = [sdk.chat.completions.create(**asked).usage for _ in "12"]
    held = len(rules) // 4
    details = [usage.prompt_tokens_details for usage in usages]
    assert [(each.cached_tokens, each.cache_write_tokens) for each in details] == [
        (0, held),
        (held, 0),
    ]
    assert [usage.prompt_tokens for usage in usages] == [held + 1] * 2
    assert [usage.cost for usage in usages] == [
        pytest.approx((3 + 15 + held * price) / 1e6) for price in (3.75, 0.3)
    ]


def refused(sdk: openai.OpenAI, model: str, **more: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(openai.APIStatusError) as caught:
        sdk.chat.completions.create(model=model, messages=said("Hello"), **more)
    return caught.value.status_code, caught.value.body["metadata"]


@every_wire
def test_our_wrong_key_is_not_the_callers_fault(sdk: openai.OpenAI, wire: str) -> None:
    """AI Studio answers 400 to it, the others 401."""
    for more in ({}, {"stream": True}):
        status, metadata = refused(sdk, f"{wire}/sim-401", **more)
        assert (status, metadata["error_type"]) == (502, "provider_unavailable")
        assert metadata["provider_error_type"] == "authentication"
        assert metadata["provider_name"] == wire


@every_wire
def test_a_rate_limit_says_when_to_come_back(sdk: openai.OpenAI, wire: str) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        sdk.chat.completions.create(model=f"{wire}/sim-429-retry7", messages=said("Hello"))
    assert caught.value.body["metadata"]["error_type"] == "rate_limit_exceeded"
    # Google states a fraction more than 7 s: whole seconds are rounded up, never before its time
    whole = "8" if wire in {"gemini", "array", "vertex"} else "7"
    assert caught.value.response.headers["retry-after"] == whole


@every_wire
def test_an_overloaded_provider_is_named_so(sdk: openai.OpenAI, wire: str) -> None:
    """Anthropic's 529; Google says the same with 503."""
    status, metadata = refused(sdk, f"{wire}/sim-529")
    assert (status, metadata["error_type"]) == (503, "provider_overloaded")


@every_wire
def test_an_error_in_the_middle_of_a_stream_is_raised(sdk: openai.OpenAI, wire: str) -> None:
    heard = ""
    with pytest.raises(openai.APIError) as caught:  # noqa: PT012  # it raises in the loop
        for chunk in sdk.chat.completions.create(
            model=f"{wire}/sim-errstream", messages=said("Hello"), stream=True
        ):
            heard += "".join(choice.delta.content or "" for choice in chunk.choices)
    assert heard
    assert caught.value.body["metadata"]["error_type"] == "provider_unavailable"


@every_wire
def test_a_stream_that_just_ends_is_an_error(sdk: openai.OpenAI, wire: str) -> None:
    with pytest.raises(openai.APIError) as caught:
        list(
            sdk.chat.completions.create(
                model=f"{wire}/sim-cut", messages=said("Hello"), stream=True
            )
        )
    assert caught.value.body["metadata"]["error_type"] == "provider_unavailable"


@pytest.mark.parametrize("stream", [False, True])
def test_encrypted_reasoning_goes_back(
    wires: Installation, sdk: openai.OpenAI, stream: bool
) -> None:
    """By the Responses API, whose simulator refuses encrypted content that it did not make."""
    model, question = "responses/sim-reason", said(f"Why, encrypted {stream}?")
    summary = {"reasoning": {"summary": "auto"}}
    asked = {"model": model, "messages": question, "extra_body": summary}
    if stream:
        deltas = [
            choice.delta
            for chunk in sdk.chat.completions.create(**asked, stream=True)
            for choice in chunk.choices
        ]
        details = [each for d in deltas for each in getattr(d, "reasoning_details", None) or ()]
        content = "".join(delta.content or "" for delta in deltas)
        message = {"role": "assistant", "content": content, "reasoning_details": details}
    else:
        answer = sdk.chat.completions.create(**asked)
        message = answer.choices[0].message.model_dump(exclude_none=True)
        assert message["reasoning"].startswith("First, what")
    details = message["reasoning_details"]
    [seal] = [data for each in details if (data := each.get("data"))]
    conversation = {"model": model, "messages": [*question, message, *said("Go on.")]}
    before = wires.calls(seal)["matching"]
    assert sdk.chat.completions.create(**conversation).choices[0].message.content
    assert wires.calls(seal)["matching"] == before + 1
    next(each for each in details if each.get("data"))["data"] = "gAAAAZm9yZ2Vk"
    with pytest.raises(openai.BadRequestError, match="could not be verified"):
        sdk.chat.completions.create(**conversation)


def test_a_choice_that_the_responses_api_lacks_is_refused_by_name(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"n: the provider serves this model by"):
        sdk.chat.completions.create(model="responses/sim", messages=said("Hello"), n=2)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_in_the_background_survives_its_connection_and_is_charged_once(
    wires: Installation, sdk: openai.OpenAI, stream: bool
) -> None:
    model, before = "sim-story-cut", wires.calls()
    asked = {"model": f"apart/{model}", "messages": said(f"A story, {stream}.")}
    if stream:
        chunks = list(sdk.chat.completions.create(**asked, stream=True))
        text, job_id = streamed(chunks)[0], chunks[0].id
    else:
        answer = sdk.chat.completions.create(**asked)
        text, job_id = answer.choices[0].message.content, answer.id
    assert text.startswith("The harbour office opens")
    assert text.endswith("the weight of every crate.")
    after = wires.calls()
    assert after["by_model"][model] - before["by_model"].get(model, 0) == 1
    assert after["retrieved"] - before["retrieved"] == 1
    assert job_id


def test_a_cancelled_job_is_cancelled_in_the_providers_background(
    wires: Installation, sdk: openai.OpenAI
) -> None:
    before = wires.calls()["cancelled"]
    asked = {"model": "apart/sim-story-chunk100", "messages": said("A long story.")}
    stop = {"X-Cancel-On-Disconnect": "now"}
    with sdk.chat.completions.create(**asked, stream=True, extra_headers=stop) as stream:
        next(iter(stream))
    until(lambda: wires.calls()["cancelled"] == before + 1, 20, "the provider was not told")
