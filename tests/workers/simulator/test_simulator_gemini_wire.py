import base64
import json

import httpx
import pytest

STUDIO = "/v1beta/models"
VERTEX = "/v1/projects/p/locations/europe-west4/publishers/google/models"
WEATHER = {
    "name": "get_weather",
    "parameters": {
        "type": "OBJECT",
        "properties": {"city": {"type": "STRING"}, "days": {"type": "INTEGER"}},
    },
}
CLOCK = {"name": "get_time"}
TOOLS = [{"functionDeclarations": [WEATHER, CLOCK]}]
ARGUMENTS = {"city": "Lima", "days": 3}
QUESTION = "How is the weather in Lima?"
SHOWN = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}


def call(text="Why is the sky blue?", **more):
    return {"contents": [{"role": "user", "parts": [{"text": text}]}]} | more


def ask(http, model, text="Why is the sky blue?", base=STUDIO, **more):
    return http.post(f"{base}/{model}:generateContent", json=call(text, **more))


def parts(answer):
    return answer.json()["candidates"][0]["content"]["parts"]


def as_events(http, model, text="Why is the sky blue?", base=STUDIO, **more):
    url = f"{base}/{model}:streamGenerateContent?alt=sse"
    answer = http.post(url, json=call(text, **more))
    assert answer.headers["content-type"] == "text/event-stream"
    records = answer.text.removesuffix("\r\n\r\n").split("\r\n\r\n")
    return [json.loads(record.removeprefix("data: ")) for record in records]


def as_array(http, model, text="Why is the sky blue?", base=STUDIO, **more):
    answer = http.post(f"{base}/{model}:streamGenerateContent", json=call(text, **more))
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


STREAMS = pytest.mark.parametrize("streamed", [as_events, as_array])
BASES = pytest.mark.parametrize("base", [STUDIO, "/models", VERTEX, "/publishers/google/models"])


@BASES
def test_a_plain_call(http, base):
    answer = ask(http, "sim", base=base).json()
    (candidate,) = answer["candidates"]
    text = candidate["content"]["parts"][0]["text"]
    assert "Why is the sky blue" in text
    assert (candidate["finishReason"], candidate["content"]["role"]) == ("STOP", "model")
    said = -(-len(text) // 4)
    usage = answer["usageMetadata"]
    assert (usage["promptTokenCount"], usage["candidatesTokenCount"]) == (5, said)
    assert usage["totalTokenCount"] == 5 + said
    assert answer["modelVersion"] == "sim"
    assert ("trafficType" in usage) == ("publishers" in base)


@STREAMS
@pytest.mark.parametrize("base", [STUDIO, VERTEX])
def test_a_stream_adds_up_to_the_answer(http, streamed, base):
    *chunks, last = streamed(http, "sim-echo", "Grüße, 世界!", base=base)
    told = [chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks]
    assert "".join(told) == "Grüße, 世界!"
    counts = [chunk["usageMetadata"]["candidatesTokenCount"] for chunk in [*chunks, last]]
    assert counts == [1, 2, 3, 3]
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert all("finishReason" not in chunk["candidates"][0] for chunk in chunks)


@STREAMS
def test_a_paced_stream_says_the_same(http, streamed):
    assert len(streamed(http, "sim-tok5-chunk1")) == 6


def test_thoughts_are_shown_where_asked_for(http):
    hidden, shown = ask(http, "sim-reason"), ask(http, "sim-reason", **SHOWN)
    assert len(parts(hidden)) == 1
    thought, text = parts(shown)
    assert thought["thought"] is True
    assert text["thoughtSignature"] == parts(hidden)[0]["thoughtSignature"]
    usages = [answer.json()["usageMetadata"] for answer in (hidden, shown)]
    assert usages[0] == usages[1]
    assert usages[0]["thoughtsTokenCount"] > 0
    spent = usages[0]["candidatesTokenCount"] + usages[0]["thoughtsTokenCount"]
    assert usages[0]["totalTokenCount"] == 5 + spent


@STREAMS
def test_thoughts_are_streamed(http, streamed):
    chunks = streamed(http, "sim-reason", **SHOWN)
    (thought, _) = parts(ask(http, "sim-reason", **SHOWN))
    every = [chunk["candidates"][0]["content"]["parts"][0] for chunk in chunks]
    assert "".join(part["text"] for part in every if part.get("thought")) == thought["text"]
    assert every[-1]["thoughtSignature"]


@pytest.mark.parametrize(
    ("model", "config"),
    [
        ("sim-tools", {}),
        ("sim-tools", {"mode": "AUTO"}),
        ("sim", {"mode": "ANY"}),
        ("sim", {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}),
    ],
)
def test_a_function_is_called(http, model, config):
    more = {"tools": TOOLS, "toolConfig": {"functionCallingConfig": config}}
    answer = ask(http, model, QUESTION, **more)
    assert parts(answer) == [{"functionCall": {"name": "get_weather", "args": ARGUMENTS}}]
    assert answer.json()["candidates"][0]["finishReason"] == "STOP"


def test_a_schema_may_be_json_schema_and_snake_case(http):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    declared = [{"name": "f", "parameters_json_schema": schema}]
    answer = ask(http, "sim-tools", QUESTION, tools={"function_declarations": declared})
    assert parts(answer)[0]["functionCall"]["args"] == {"city": "Lima"}


def test_no_function_is_called_where_none_is_wanted(http):
    config = {"functionCallingConfig": {"mode": "NONE"}}
    assert "text" in parts(ask(http, "sim-tools", tools=TOOLS, toolConfig=config))[0]


@STREAMS
def test_function_calls_are_streamed_whole(http, streamed):
    chunks = streamed(http, "sim-tools2-reason", QUESTION, tools=TOOLS)
    told = [chunk["candidates"][0]["content"].get("parts") for chunk in chunks]
    assert [part and part[0]["functionCall"]["name"] for part in told] == [
        "get_weather",
        "get_time",
        None,
    ]
    assert "thoughtSignature" in told[0][0]
    assert "thoughtSignature" not in told[1][0]


@pytest.mark.parametrize(("signature", "status"), [(None, 200), ("forged", 400)])
def test_a_function_response_is_answered(http, signature, status):
    (said,) = parts(ask(http, "sim-tools-reason", QUESTION, tools=TOOLS))
    said["thoughtSignature"] = signature or said["thoughtSignature"]
    response = {"functionResponse": {"name": "get_weather", "response": {"output": "18 degrees"}}}
    contents = [
        {"role": "user", "parts": [{"text": QUESTION}]},
        {"role": "model", "parts": [said]},
        {"role": "user", "parts": [response]},
    ]
    answer = ask(http, "sim-tools", contents=contents, tools=TOOLS)
    assert answer.status_code == status
    if status == 200:
        assert parts(answer)[0]["text"] == "The tool answered: 18 degrees"
    else:
        assert answer.json()["error"]["message"] == "Thought signature is not valid."


@pytest.mark.parametrize("name", ["responseSchema", "responseJsonSchema", "response_schema"])
def test_a_schema_is_filled_in(http, name):
    schema = {"type": "OBJECT", "properties": {"title": {"type": "STRING"}}}
    config = {"responseMimeType": "application/json", name: schema}
    answer = ask(http, "sim", "Hi Bob", generationConfig=config)
    assert json.loads(parts(answer)[0]["text"]) == {"title": "Hi Bob"}


def test_any_json_is_an_object(http):
    answer = ask(http, "sim", generationConfig={"response_mime_type": "application/json"})
    assert "sky" in json.loads(parts(answer)[0]["text"])["answer"]


def test_a_limit_truncates(http):
    answer = ask(http, "sim-story", generationConfig={"maxOutputTokens": 3}).json()
    assert answer["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert answer["usageMetadata"]["candidatesTokenCount"] == 3


def test_an_image_is_drawn_where_asked_for(http):
    config = {"responseModalities": ["TEXT", "IMAGE"]}
    text, image = parts(ask(http, "sim-image", generationConfig=config))
    assert "text" in text
    assert image["inlineData"]["mimeType"] == "image/png"
    assert base64.b64decode(image["inlineData"]["data"]).startswith(b"\x89PNG")
    assert len(parts(ask(http, "sim-image"))) == 1


def test_null_content_has_no_parts(http):
    candidate = ask(http, "sim-null").json()["candidates"][0]
    assert candidate["content"] == {"role": "model"}


def test_usage_can_be_left_out(http):
    assert "usageMetadata" not in ask(http, "sim-nousage").json()
    assert all("usageMetadata" not in chunk for chunk in as_events(http, "sim-nousage"))


@pytest.mark.parametrize(
    ("model", "base", "status", "name"),
    [
        ("sim-429", STUDIO, 429, "RESOURCE_EXHAUSTED"),
        ("sim-500", STUDIO, 500, "INTERNAL"),
        ("sim-503", STUDIO, 503, "UNAVAILABLE"),
        ("sim-529", STUDIO, 503, "UNAVAILABLE"),
        ("sim-401", STUDIO, 400, "INVALID_ARGUMENT"),
        ("sim-401", VERTEX, 401, "UNAUTHENTICATED"),
        ("sim-400", STUDIO, 400, "INVALID_ARGUMENT"),
        ("sim-context", STUDIO, 400, "INVALID_ARGUMENT"),
        ("gemini-9", VERTEX, 404, "NOT_FOUND"),
    ],
)
def test_a_refusal(http, model, base, status, name):
    answer = ask(http, model, base=base)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (status, status, name)


def test_a_refused_stream_is_in_its_framing(http):
    events = http.post(f"{STUDIO}/sim-500:streamGenerateContent?alt=sse", json=call())
    assert events.headers["content-type"] == "text/event-stream"
    assert events.json()["error"]["code"] == 500
    array = http.post(f"{STUDIO}/sim-500:streamGenerateContent", json=call())
    assert array.json()[0]["error"]["code"] == 500


def test_the_body_says_when_to_come_back(http):
    answer = ask(http, "sim-429-retry3")
    details = {each["@type"].rpartition(".")[2]: each for each in answer.json()["error"]["details"]}
    assert details["RetryInfo"]["retryDelay"] == "3s"
    assert "retry-after" not in answer.headers
    details = ask(http, "sim-401").json()["error"]["details"]
    assert details[0]["reason"] == "API_KEY_INVALID"


@STREAMS
def test_an_error_inside_a_stream(http, streamed):
    *chunks, error = streamed(http, "sim-errstream")
    assert len(chunks) == 4
    assert error["error"]["status"] == "INTERNAL"


def test_an_array_cut_short_is_no_json(http):
    answer = http.post(f"{STUDIO}/sim-half:streamGenerateContent", json=call())
    assert answer.text.startswith("[{")
    with pytest.raises(json.JSONDecodeError):
        answer.json()


@pytest.mark.parametrize("query", ["", "?alt=sse"])
def test_a_stream_is_cut_in_the_middle(http, query):
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        http.post(f"{STUDIO}/sim-cut:streamGenerateContent{query}", json=call())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "contents is not specified"),
        (call(response_format={"type": "json_object"}), 'Unknown name "response_format"'),
        ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "valid role"),
        ({"contents": ["x"]}, "Invalid JSON payload"),
        ({"contents": [{"parts": [{"text": 5}]}]}, "Invalid JSON payload"),
        (call(generationConfig={"maxOutputTokens": "many"}), "Invalid JSON payload"),
        (call(tools=[{"functionDeclarations": [{}]}]), "Invalid JSON payload"),
    ],
)
def test_a_malformed_call_is_refused(http, body, words):
    answer = http.post(f"{STUDIO}/sim:generateContent", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_calls_are_counted_under_their_model(http, simulator):
    before = simulator.counters.by_model["sim-echo-tok3"]
    ask(http, "sim-echo-tok3")
    assert simulator.counters.by_model["sim-echo-tok3"] == before + 1
