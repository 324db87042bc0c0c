"""Text completions as vendors write them: whole, and as streams."""

import json
from typing import Any

import pytest

from broker.completion import CompletionRequest, ErrorType, Usage
from workers.adapters.base import MalformedAnswerError, ProviderFailureError, Upstream
from workers.operations.text_completions import OpenAiCompletions
from workers.upstream.assembly import Assembly

REQUEST = CompletionRequest(body={"prompt": "A harbour:"}, model="m", stream=True)
UPSTREAM = Upstream(slug="together", base_url="https://host/v1", api_key="key")
USAGE = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
LOGPROBS = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [None], "text_offset": [0]}
ADAPTER = OpenAiCompletions()


def piece(text: str | None, finish: str | None = None, index: int = 0, **more: Any) -> dict:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish, **more}


def chunk(*choices: dict, **more: Any) -> dict:
    return {"id": "c", "object": "text_completion", "model": "m", "choices": choices, **more}


def stream(*payloads: dict, done: bool = True) -> bytes:
    lines = [f"data: {json.dumps(payload)}\n\n" for payload in payloads]
    return "".join([*lines, "data: [DONE]\n\n" if done else ""]).encode()


def read(data: bytes, request: CompletionRequest = REQUEST) -> tuple[list, Any]:
    """Return the choices of all chunks, and the answer that they fold to."""
    shown = []
    assembly = Assembly(lambda chunk: shown.extend(chunk.choices))
    reader = ADAPTER.create_stream_reader(request)
    for each in [*reader.feed(data), *reader.close()]:
        assembly.add(each)
    return shown, assembly.completion()


STREAMS = {
    "OpenAI": stream(
        chunk(piece("two "), usage=None),
        chunk(piece("words"), usage=None),
        chunk(piece("", "stop"), usage=None),
        chunk(usage=USAGE),
    ),
    "the finish with the last text": stream(
        chunk(piece("two ")), chunk(piece("words", "stop")), chunk(usage=USAGE)
    ),
    "Together: eos, usage with the finish": stream(
        chunk(piece("two ")), chunk(piece("words", "eos"), usage=USAGE)
    ),
    "vLLM: another field for a native stop word": stream(
        chunk(piece("two words", stop_reason=None)),
        chunk(piece("", "stop", stop_reason=128009)),
        chunk(usage=USAGE),
    ),
    "no [DONE]": stream(chunk(piece("two words")), chunk(piece(None, "stop")), done=False),
    "usage in every chunk": stream(
        chunk(piece("two "), usage={**USAGE, "completion_tokens": 1}),
        chunk(piece("words", "stop"), usage=USAGE),
    ),
    "delta beside text": stream(
        chunk(piece("two ", delta={"content": "two "})),
        chunk(piece("words", "stop", delta={"content": "words"})),
    ),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_streamed_text_is_whole_and_finishes_once(name: str, size: int) -> None:
    data = STREAMS[name]
    shown: list[dict] = []
    assembly = Assembly(lambda chunk: shown.extend(chunk.choices))
    reader = ADAPTER.create_stream_reader(REQUEST)
    for start in range(0, len(data), size):
        for each in reader.feed(data[start : start + size]):
            assembly.add(each)
    for each in reader.close():
        assembly.add(each)
    assert "".join(choice["delta"].get("content") or "" for choice in shown) == "two words"
    assert [choice["finish_reason"] for choice in shown if choice["finish_reason"]] == ["stop"]
    answer = assembly.completion()
    [choice] = answer.choices
    assert (choice["message"]["content"], choice["finish_reason"]) == ("two words", "stop")
    if b"usage" in data and b'"total_tokens"' in data:
        assert (answer.usage.input, answer.usage.output) == (4, 2)


def test_a_text_that_looks_like_a_thought_stays_a_text() -> None:
    text = "<think>not a thought</think> but a text"
    _, streamed = read(stream(*(chunk(piece(letter)) for letter in text), chunk(piece("", "stop"))))
    whole = ADAPTER.read_response(json.dumps(chunk(piece(text, "stop"))).encode(), REQUEST)
    for answer in (streamed, whole):
        assert answer.choices[0]["message"]["content"] == text
        assert "reasoning" not in answer.choices[0]["message"]


def test_every_choice_of_a_stream_is_kept() -> None:
    data = stream(
        chunk(piece("a", index=1)),
        chunk(piece("b", index=0)),
        chunk(piece("c", "length", index=1)),
        chunk(piece("", "stop", index=0)),
    )
    request = CompletionRequest(body={"prompt": "x", "n": 2}, model="m", stream=True)
    _, answer = read(data, request)
    assert [(each["message"]["content"], each["finish_reason"]) for each in answer.choices] == [
        ("b", "stop"),
        ("ac", "length"),
    ]


@pytest.mark.parametrize(
    ("prompt", "n", "count"),
    [("a", None, 1), ([1, 2], None, 1), (["a"], 2, 2), (["a", "b"], None, 2), ([[1], [2]], 2, 4)],
)
def test_a_stream_ends_only_with_the_last_text(prompt: Any, n: int | None, count: int) -> None:
    """Usage that comes with the end of the first text is not the end of the answer."""
    request = CompletionRequest(body={"prompt": prompt, "n": n}, model="m", stream=True)
    texts = [chunk(piece(f"text {i}", "stop", index=i), usage=USAGE) for i in range(count)]
    reader, shown = ADAPTER.create_stream_reader(request), []
    for each in texts:
        shown += reader.feed(stream(each, done=False))
    shown += reader.close()
    said = [choice["delta"].get("content") for part in shown for choice in part.choices]
    assert [text for text in said if text] == [f"text {i}" for i in range(count)]


def test_log_probabilities_are_joined() -> None:
    data = stream(
        chunk(piece("a", logprobs=LOGPROBS)),
        chunk(piece("a", "stop", logprobs=LOGPROBS)),
    )
    shown, answer = read(data)
    assert [choice["logprobs"] for choice in shown if choice.get("logprobs")] == [LOGPROBS] * 2
    assert answer.choices[0]["logprobs"] == {name: [*v, *v] for name, v in LOGPROBS.items()}


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("EOS", "stop"),
        (None, "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("something new", "error"),
    ],
)
def test_a_finish_reason_has_one_word(native: str | None, reason: str) -> None:
    whole = ADAPTER.read_response(json.dumps(chunk(piece("a", native))).encode(), REQUEST)
    assert whole.choices[0]["finish_reason"] == reason
    assert whole.choices[0]["native_finish_reason"] == native
    if native is not None:
        _, streamed = read(stream(chunk(piece("a")), chunk(piece("", native))))
        assert streamed.choices[0]["finish_reason"] == reason
        assert streamed.choices[0]["native_finish_reason"] == native


def test_an_error_in_the_stream_comes_after_the_text_before_it() -> None:
    data = stream(chunk(piece("a")), {"error": {"message": "too busy", "code": 503}}, done=False)
    reader = ADAPTER.create_stream_reader(REQUEST)
    [before] = reader.feed(data)
    assert before.choices[0]["delta"]["content"] == "a"
    with pytest.raises(ProviderFailureError) as caught:
        reader.close()
    assert caught.value.failure.error_type is ErrorType.PROVIDER_UNAVAILABLE


def test_a_stream_that_breaks_off_is_no_answer() -> None:
    with pytest.raises(MalformedAnswerError):
        read(stream(chunk(piece("a")), done=False))


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"choices": [1]}', b'{"choices": "a"}', b"no"])
def test_an_answer_without_texts_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        ADAPTER.read_response(body, REQUEST)


def test_usage_is_read_from_a_whole_answer() -> None:
    answer = ADAPTER.read_response(
        json.dumps(chunk(piece("a", "stop"), usage=USAGE)).encode(), REQUEST
    )
    assert answer.usage == Usage(input=4, output=2)


@pytest.mark.parametrize(
    ("quirks", "options"),
    [(frozenset(), {"include_usage": True}), (frozenset({"no_stream_options"}), None)],
)
def test_a_stream_is_requested_with_its_usage(quirks: frozenset[str], options: Any) -> None:
    upstream = Upstream(slug="x", base_url="https://host/v1", quirks=quirks)
    sent = json.loads(ADAPTER.build_request(REQUEST, upstream).body)
    assert (sent["stream"], sent.get("stream_options")) == (True, options)


def test_a_whole_answer_is_requested_without_stream_fields() -> None:
    request = CompletionRequest(body={"prompt": "x", "stream": False}, model="m")
    sent = ADAPTER.build_request(request, UPSTREAM)
    assert json.loads(sent.body) == {"prompt": "x", "model": "m"}
    assert sent.url == "https://host/v1/completions"
