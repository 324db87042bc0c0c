import json

import pytest

from broker.completion import CompletionRequest, ErrorType, Usage
from workers.adapters.base import MalformedAnswerError, ProviderFailureError, Upstream
from workers.adapters.gemini import GeminiAdapter
from workers.adapters.gemini.messages import FORMAT


def read(*parts, finish="STOP", body=None, usage=None, **candidate):
    entry = {"content": {"parts": list(parts), "role": "model"}, "finishReason": finish}
    return answer({"candidates": [entry | candidate], "usageMetadata": usage}, body)


def answer(payload, body=None):
    payload = {"responseId": "r", "modelVersion": "gemini-x", **payload}
    request = CompletionRequest({"messages": [], **(body or {})}, "m")
    return GeminiAdapter().read_response(json.dumps(payload).encode(), request)


def message(*parts, **more):
    return read(*parts, **more).choices[0]["message"]


def call(name="f", signature=None, **more):
    part = {"functionCall": {"name": name, **more}}
    return part | ({"thoughtSignature": signature} if signature else {})


def test_a_plain_answer():
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 2, "serviceTier": "standard"}
    completion = read({"text": "a"}, {"text": "b"}, usage=usage)
    assert completion.choices == [{
        "index": 0,
        "message": {"role": "assistant", "content": "ab", "refusal": None},
        "finish_reason": "stop",
        "native_finish_reason": "STOP",
    }]  # fmt: skip
    assert completion.usage == Usage(input=1, output=2)
    assert (completion.upstream_id, completion.upstream_model) == ("r", "gemini-x")
    assert completion.service_tier == "default"


@pytest.mark.parametrize(
    ("finish", "parts", "expected"),
    [
        ("STOP", [{"text": "a"}], "stop"),
        ("STOP", [call()], "tool_calls"),
        ("MAX_TOKENS", [call()], "length"),
        ("SAFETY", [], "content_filter"),
        ("RECITATION", [], "content_filter"),
        ("IMAGE_SAFETY", [], "content_filter"),
        ("MALFORMED_FUNCTION_CALL", [], "error"),
        ("UNEXPECTED_TOOL_CALL", [], "error"),
        ("BRAND_NEW", [], "error"),
        (None, [], "stop"),
    ],
)
def test_finish_reasons(finish, parts, expected):
    choice = read(*parts, finish=finish).choices[0]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == (expected, finish)


@pytest.mark.parametrize("content", [None, {}, {"role": "model"}, {"parts": None}])
def test_content_without_parts(content):
    assert message(finish="MAX_TOKENS", content=content)["content"] is None


def test_calls_without_ids_get_the_same_ones_every_time():
    parts = [call(args={"a": 1}), call(), call(id="own"), call(id="own")]
    calls = message(*parts)["tool_calls"]
    assert calls[0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert calls[1]["function"]["arguments"] == "{}"
    assert calls[2]["id"] == "own"
    assert len({entry["id"] for entry in calls}) == 4
    assert calls == message(*parts)["tool_calls"]
    later = message(*parts, body={"messages": [{}, {}]})["tool_calls"]
    assert later[0]["id"] != calls[0]["id"]


def test_thoughts_and_signatures():
    said = message(
        {"text": "h", "thought": True},
        {"text": "m", "thought": True},
        {"text": "a", "thoughtSignature": "t"},
        call(signature="s", id="c"),
    )
    assert (said["content"], said["reasoning"]) == ("a", "hm")
    assert said["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm", "format": FORMAT, "index": 0},
        {"type": "reasoning.encrypted", "data": "t", "format": FORMAT, "index": 1},
        {"type": "reasoning.encrypted", "data": "s", "format": FORMAT, "id": "c", "index": 2},
    ]
    assert said["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "s"}}


def test_hidden_thoughts_keep_their_signatures():
    said = message({"text": "h", "thought": True}, call(signature="s", id="c"),
                   body={"reasoning": {"exclude": True}})  # fmt: skip
    assert "reasoning" not in said
    assert [detail["data"] for detail in said["reasoning_details"]] == ["s"]


def test_what_was_said_can_be_sent_back():
    said = message({"text": "a", "thoughtSignature": "t"}, call(signature="s", id="c"), call("g"))
    request = CompletionRequest({"messages": [said]}, "gemini-3-pro-preview")
    sent = GeminiAdapter().build_request(request, Upstream(slug="x", base_url="https://h"))
    parts = json.loads(sent.body)["contents"][0]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["t", "s", None]


def test_parts_of_googles_own_tools_are_passed_over():
    said = message(
        {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB"}, "thoughtSignature": "x"},
        {"executableCode": {"code": "1"}},
        {"text": "a"},
    )
    assert said == {"role": "assistant", "content": "a", "refusal": None}


def test_generated_media():
    image = {"inlineData": {"mimeType": "image/png", "data": "QUJD"}}
    assert message({"text": "a"}, image)["images"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
    ]
    audio = {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "QUJD"}}
    said = message(audio)["audio"]
    assert (said["data"], said["format"]) == ("QUJD", "audio/L16;rate=24000")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, None),
        ({"trafficType": "ON_DEMAND"}, None),
        ({"promptTokenCount": 9, "cachedContentTokenCount": 4, "candidatesTokenCount": 2,
          "thoughtsTokenCount": 5, "toolUsePromptTokenCount": 3},
         Usage(input=8, cache_read=4, output=7, reasoning=5)),
        ({"candidatesTokenCount": 2, "thoughtsTokenCount": 5}, Usage(output=7, reasoning=5)),
        ({"promptTokenCount": 9, "totalTokenCount": 9}, Usage(input=9, output=0)),
        ({"promptTokenCount": 9}, Usage(input=9)),
        ({"promptTokenCount": 9, "candidatesTokenCount": 3,
          "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 4},
                                  {"modality": "AUDIO", "tokenCount": 5}],
          "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 1},
                                      {"modality": "IMAGE", "tokenCount": 2}]},
         Usage(input=9, output=3, input_audio=5, output_audio=1, output_image=2)),
    ],
)  # fmt: skip
def test_usage(raw, expected):
    assert read({"text": "a"}, usage=raw).usage == expected


def test_grounding_becomes_annotations():
    # Indexes count bytes of UTF-8; the quoted text is the surer guide.
    place = {"startIndex": 3, "endIndex": 5}
    metadata = {
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"other": {}}],
        "groundingSupports": [
            {"segment": place | {"text": "ok"}, "groundingChunkIndices": [0, 1]},
            {"segment": place, "groundingChunkIndices": [0, 7]},
        ],
    }
    notes = message({"text": "é ok"}, groundingMetadata=metadata)["annotations"]
    citation = {"url": "https://a", "title": "A", "start_index": 2, "end_index": 4}
    assert notes == [
        {"type": "url_citation", "url_citation": {**citation, "content": "ok"}},
        {"type": "url_citation", "url_citation": citation},
    ]
    chunks = {"groundingChunks": metadata["groundingChunks"]}
    unplaced = message({"text": "a"}, groundingMetadata=chunks)["annotations"]
    assert unplaced[0]["url_citation"]["end_index"] == 0


def test_logprobs():
    token = {"token": "a", "logProbability": -0.5}
    result = {"chosenCandidates": [token], "topCandidates": [{"candidates": [token]}]}
    told = {"token": "a", "logprob": -0.5, "bytes": [97]}
    assert read({"text": "a"}, logprobsResult=result).choices[0]["logprobs"] == {
        "content": [{**told, "top_logprobs": [told]}], "refusal": None,
    }  # fmt: skip


def test_candidates_without_indexes():
    entry = {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}
    assert [c["index"] for c in answer({"candidates": [entry, entry]}).choices] == [0, 1]


def test_a_blocked_prompt():
    completion = answer({
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4},
    })  # fmt: skip
    choice = completion.choices[0]
    assert choice["finish_reason"] == "content_filter"
    assert choice["native_finish_reason"] == "PROHIBITED_CONTENT"
    assert choice["message"]["refusal"] == "The prompt was blocked: PROHIBITED_CONTENT."
    assert completion.usage == Usage(input=4, output=0)


@pytest.mark.parametrize("payload", [{}, {"candidates": []}, {"promptFeedback": {}}])
def test_malformed_answers(payload):
    with pytest.raises(MalformedAnswerError):
        answer(payload)


def error(code, status, said, **more):
    return {"error": {"code": code, "message": said, "status": status, **more}}


@pytest.mark.parametrize(
    ("code", "status", "said", "error_type"),
    [
        (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.",
         ErrorType.AUTHENTICATION),
        (400, "INVALID_ARGUMENT", "The input token count exceeds the maximum number of tokens (8).",
         ErrorType.CONTEXT_LENGTH_EXCEEDED),
        (400, "INVALID_ARGUMENT", "Invalid JSON payload", ErrorType.INVALID_REQUEST),
        (403, "PERMISSION_DENIED", "No access", ErrorType.PERMISSION_DENIED),
        (404, "NOT_FOUND", "models/x is not found", ErrorType.NOT_FOUND),
        (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota",
         ErrorType.RATE_LIMIT_EXCEEDED),
        (500, "INTERNAL", "An internal error has occurred", ErrorType.PROVIDER_UNAVAILABLE),
        (503, "UNAVAILABLE", "The model is overloaded. Please try again later.",
         ErrorType.PROVIDER_OVERLOADED),
        (504, "DEADLINE_EXCEEDED", "too slow", ErrorType.TIMEOUT),
    ],
)  # fmt: skip
def test_errors(code, status, said, error_type):
    body = json.dumps([error(code, status, said)]).encode()  # as the array stream sends them
    failure = GeminiAdapter().read_error(code, {"content-type": "text/event-stream"}, body)
    assert (failure.error_type, failure.message) == (error_type, said)
    with pytest.raises(ProviderFailureError) as caught:
        GeminiAdapter().read_response(body, CompletionRequest({}, "m"))
    assert caught.value.failure.error_type is error_type


def test_the_wait_a_quota_asks_for():
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48s"}
    body = json.dumps(error(429, "RESOURCE_EXHAUSTED", "wait", details=[info])).encode()
    assert GeminiAdapter().read_error(429, {}, body).retry_after == 48
