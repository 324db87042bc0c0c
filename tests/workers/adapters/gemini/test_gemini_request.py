import json

import pytest

from broker.completion import CompletionRequest
from workers.adapters.base import Upstream
from workers.adapters.gemini import GeminiAdapter
from workers.adapters.gemini.messages import FORMAT
from workers.adapters.gemini.models import GeminiModel
from workers.adapters.gemini.tools import openapi_schema

HI = {"role": "user", "content": "hi"}
STUDIO = "https://generativelanguage.googleapis.com/v1beta"
VERTEX = "https://aiplatform.googleapis.com/v1"
STREAMED = "publishers/google/models/m:streamGenerateContent?alt=sse"
OLD, FLASH, PRO = "gemini-2.0-flash", "gemini-2.5-flash", "gemini-2.5-pro"
THREE, THREE_PRO = "gemini-3.5-flash", "gemini-3-pro-preview"
SCHEMA = {"$schema": "x", "type": "object", "properties": {"a": {"type": ["string", "null"]}}}


def sent(body, *quirks, model=FLASH, stream=False, base_url=STUDIO, **upstream):
    request = CompletionRequest(body={"messages": [HI], **body}, model=model, stream=stream)
    to = Upstream(slug="x", base_url=base_url, quirks=frozenset(quirks), **upstream)
    return GeminiAdapter().build_request(request, to)


def body_of(body, *quirks, **more):
    return json.loads(sent(body, *quirks, **more).body)


def contents(*messages, **more):
    told = body_of({"messages": list(messages)}, **more)["contents"]
    return [(content["role"], content["parts"]) for content in told]


def parts(*given):
    return contents({"role": "user", "content": list(given)})[0][1]


def config(body, **more):
    return body_of(body, **more).get("generationConfig")


def call(name="f", arguments="{}", call_id="c1", **more):
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function, **more}


def result(content, call_id="c1"):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def tool(**function):
    return {"type": "function", "function": {"name": "f", "parameters": SCHEMA, **function}}


def test_the_plain_request():
    request = sent({}, api_key="k", headers={"X-Own": "1"})
    assert request.url == f"{STUDIO}/models/{FLASH}:generateContent"
    assert request.headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "x-goog-api-key": "k",
        "x-own": "1",
    }
    assert json.loads(request.body) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


@pytest.mark.parametrize(
    ("quirks", "options", "model", "url", "header"),
    [
        ((), {}, "models/m", f"{STUDIO}/models/m:streamGenerateContent?alt=sse", "x-goog-api-key"),
        ((), {}, "tunedModels/m", f"{STUDIO}/tunedModels/m:streamGenerateContent?alt=sse",
         "x-goog-api-key"),
        (("json_array",), {}, "m", f"{STUDIO}/models/m:streamGenerateContent", "x-goog-api-key"),
        (("vertex",), {"project": "p", "region": "us-east5"}, "google/m",
         f"https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/{STREAMED}",
         "authorization"),
        (("vertex",), {"project": "p"}, "m", f"{VERTEX}/projects/p/locations/global/{STREAMED}",
         "authorization"),
        (("vertex",), {}, "m", f"{VERTEX}/{STREAMED}", "x-goog-api-key"),
    ],
)  # fmt: skip
def test_addresses_and_keys(quirks, options, model, url, header):
    base_url = VERTEX if "vertex" in quirks else STUDIO
    request = sent({}, *quirks, model=model, stream=True, base_url=base_url, api_key="k",
                   options=options)  # fmt: skip
    assert request.url == url
    assert request.headers[header].removeprefix("Bearer ") == "k"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("gemini-2.0-flash-exp", (2, 0)),
        ("gemini-2.5-flash-preview-09-2025", (2, 5)),
        ("google/gemini-3.1-pro-preview", (3, 1)),
        ("gemini-live-2.5-flash", (2, 5)),
        ("gemini-flash-latest", (3, 0)),
        ("gemini-exp-1206", (2, 5)),
        ("gemma-3-27b-it", (0, 0)),
    ],
)
def test_the_version_in_a_name(name, version):
    assert GeminiModel.from_name(name).version == version


def test_system_messages_become_the_instruction():
    body = body_of({"messages": [
        {"role": "system", "content": "a"}, HI, {"role": "developer", "content": "b"}]
    })  # fmt: skip
    assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "hi"}]}]
    alone = body_of({"messages": [{"role": "system", "content": "a"}]})
    assert alone == {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}


def test_calls_and_their_responses():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
    told = contents(
        HI,
        {"role": "assistant", "content": "a",
         "tool_calls": [call(arguments='{"x": 1}'), call("g", "no json", "c2")]},
        result([{"type": "text", "text": "1"}, image]),
        result('{"y": 2}', "c2"),
        HI,
    )  # fmt: skip
    assert [role for role, _ in told] == ["user", "model", "user", "user"]
    assert told[1][1] == [
        {"text": "a"},
        {"functionCall": {"name": "f", "args": {"x": 1}, "id": "c1"}},
        {"functionCall": {"name": "g", "args": {"arguments": "no json"}, "id": "c2"}},
    ]
    assert told[2][1] == [
        {"functionResponse": {"name": "f", "response": {"output": "1"}, "id": "c1"}},
        {"functionResponse": {"name": "g", "response": {"y": 2}, "id": "c2"}},
    ]
    assert told[3][1] == [
        {"text": "Attached to the result of f:"},
        {"inlineData": {"mimeType": "image/png", "data": "QUJD"}},
        {"text": "hi"},
    ]


def test_vertex_gets_no_ids():
    body = body_of({"messages": [{"role": "assistant", "tool_calls": [call()]}, result("1")]},
                   "vertex")  # fmt: skip
    assert "id" not in body["contents"][0]["parts"][0]["functionCall"]
    assert "id" not in body["contents"][1]["parts"][0]["functionResponse"]


def encrypted(data, **more):
    return {"type": "reasoning.encrypted", "data": data, "format": FORMAT, **more}


@pytest.mark.parametrize(
    ("result", "is_passed"),
    [
        ({"a": [1, {"b": None}], "c": 2**53}, True),
        ({"paths": {"/a": {"$ref": "#/$defs/A"}}}, False),
        ({"$defs": {}}, False),
        ({"rows": [{"id": 2**53 + 1}]}, False),
        (json.loads('{"a":' * 90 + "1" + "}" * 90), False),
    ],
)
def test_a_result_that_google_would_refuse_or_round_is_sent_as_text(result, is_passed):
    text = json.dumps(result)
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = body_of(
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": text},
            ]
        }
    )
    response = body["contents"][2]["parts"][0]["functionResponse"]["response"]
    assert response == (result if is_passed else {"output": text})


@pytest.mark.parametrize(
    ("model", "details", "extra", "signatures"),
    [
        (FLASH, [], {}, [None, None, None]),
        (FLASH, [encrypted("t"), encrypted("s", id="c1")], {}, ["t", "s", None]),
        (FLASH, [], {"extra_content": {"google": {"thought_signature": "e"}}}, [None, "e", None]),
        (FLASH, [{**encrypted("x"), "format": "anthropic-claude-v1"}], {}, [None, None, None]),
        (THREE, [], {}, [None, "skip_thought_signature_validator", None]),
        (THREE, [encrypted("s", id="c1")], {}, [None, "s", None]),
    ],
)
def test_thought_signatures_come_back(model, details, extra, signatures):
    message = {"role": "assistant", "content": "a", "reasoning_details": details,
               "tool_calls": [call(**extra), call("g", call_id="c2")]}  # fmt: skip
    told = contents(HI, message, model=model)[1][1]
    assert [part.get("thoughtSignature") for part in told] == signatures


def test_a_signature_without_a_text():
    message = {"role": "assistant", "content": None, "reasoning_details": [encrypted("t")]}
    assert contents(HI, message)[1][1] == [{"text": "", "thoughtSignature": "t"}]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "a"}, {"text": "a"}),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
         {"inlineData": {"mimeType": "image/png", "data": "QUJD"}}),
        ({"type": "image_url", "image_url": {"url": "https://h/a.webp?x=1"}},
         {"fileData": {"mimeType": "image/webp", "fileUri": "https://h/a.webp?x=1"}}),
        ({"type": "image_url", "image_url": "https://h/a"},
         {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://h/a"}}),
        ({"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD"}},
         {"inlineData": {"mimeType": "application/pdf", "data": "QUJD"}}),
        ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf",
                                         "data": "QUJD"}},
         {"inlineData": {"mimeType": "application/pdf", "data": "QUJD"}}),
        ({"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
         {"inlineData": {"mimeType": "audio/mp3", "data": "QUJD"}}),
        ({"type": "video_url", "video_url": {"url": "https://youtu.be/x"}},
         {"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/x"}}),
        ({"type": "video_url", "video_url": {"url": "data:video/webm;base64,QUJD"}},
         {"inlineData": {"mimeType": "video/webm", "data": "QUJD"}}),
    ],
)  # fmt: skip
def test_content_parts(part, expected):
    assert parts(part) == [expected]


def test_tools():
    bare = {"type": "function", "function": {"name": "g", "parameters": {"type": "object"}}}
    tools = [tool(description="d"), bare, {"googleSearch": {}}, {"type": "openrouter:x"}]
    plain = {name: value for name, value in SCHEMA.items() if name != "$schema"}
    assert body_of({"tools": tools})["tools"] == [
        {"functionDeclarations": [
            {"name": "f", "description": "d", "parametersJsonSchema": plain}, {"name": "g"}]},
        {"googleSearch": {}},
    ]  # fmt: skip
    assert body_of({"tools": tools}, model=OLD)["tools"][0]["functionDeclarations"][0] == {
        "name": "f", "description": "d", "parameters": {
            "type": "object", "properties": {"a": {"type": "string", "nullable": True}}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", None),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "f"}},
         {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ({"type": "allowed_tools", "allowed_tools": {
            "mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}},
         {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)  # fmt: skip
def test_tool_choice(choice, expected):
    body = body_of({"tools": [tool()], "tool_choice": choice})
    assert body.get("toolConfig", {}).get("functionCallingConfig") == expected
    assert "toolConfig" not in body_of({"tool_choice": choice})


def test_strict_tools_are_validated():
    body = body_of({"tools": [tool(strict=True)]})
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
    assert "toolConfig" not in body_of({"tools": [tool(strict=True), tool()]})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"temperature": 0, "top_p": 0.5, "top_k": 3, "seed": 1},
         {"temperature": 0, "topP": 0.5, "topK": 3, "seed": 1}),
        ({"max_tokens": 5}, {"maxOutputTokens": 5}),
        ({"max_completion_tokens": 6, "max_tokens": 5}, {"maxOutputTokens": 6}),
        ({"stop": "a"}, {"stopSequences": ["a"]}),
        ({"stop": [*"abcde", ""]}, {"stopSequences": list("abcde")}),
        ({"n": 1}, None),
        ({"n": 2}, {"candidateCount": 2}),
        ({"presence_penalty": 1, "frequency_penalty": 1}, None),
        ({"logprobs": True, "top_logprobs": 2}, {"responseLogprobs": True, "logprobs": 2}),
        ({"logprobs": False}, None),
        ({"modalities": ["text"]}, None),
        ({"modalities": ["image", "text"], "image_config": {"aspect_ratio": "1:1"}},
         {"responseModalities": ["IMAGE", "TEXT"], "imageConfig": {"aspectRatio": "1:1"}}),
        ({"modalities": ["audio"], "audio": {"voice": "Kore", "format": "wav"}},
         {"responseModalities": ["AUDIO"], "speechConfig": {
             "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}}),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, {"responseMimeType": "application/json"}),
        ({"logit_bias": {"1": 1}, "user": "u", "min_p": 1}, None),
    ],
)  # fmt: skip
def test_generation_config(given, expected):
    assert config(given) == expected


def test_only_older_models_take_penalties():
    # github.com/google-gemini/cookbook/issues/1290: a 400 since 2.5.
    assert config({"presence_penalty": 1}, model=OLD) == {"presencePenalty": 1}


def test_structured_output():
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    given = {"response_format": wanted}
    assert config(given)["responseJsonSchema"]["properties"] == SCHEMA["properties"]
    assert config(given, model=OLD)["responseSchema"]["properties"]["a"]["nullable"] is True
    with_tools = {**given, "tools": [tool()]}
    assert config(with_tools) is None  # refused by models before 3
    assert '"properties"' in body_of(with_tools)["systemInstruction"]["parts"][0]["text"]
    assert "responseJsonSchema" in config(with_tools, model=THREE)


@pytest.mark.parametrize(
    ("model", "asked", "expected"),
    [
        (FLASH, {"effort": "high"}, {"includeThoughts": True, "thinkingBudget": 8000}),
        (FLASH, {"max_tokens": 99}, {"includeThoughts": True, "thinkingBudget": 99}),
        (PRO, {"max_tokens": 99}, {"includeThoughts": True, "thinkingBudget": 128}),
        (FLASH, {"max_tokens": 99_999}, {"includeThoughts": True, "thinkingBudget": 24_576}),
        (FLASH, {"enabled": True}, {"includeThoughts": True}),
        (FLASH, {"exclude": True}, {"includeThoughts": False}),
        (FLASH, {"effort": "none"}, {"includeThoughts": False, "thinkingBudget": 0}),
        (THREE, {"effort": "minimal"}, {"includeThoughts": True, "thinkingLevel": "minimal"}),
        (THREE, {"effort": "medium"}, {"includeThoughts": True, "thinkingLevel": "medium"}),
        (THREE, {"effort": "xhigh"}, {"includeThoughts": True, "thinkingLevel": "high"}),
        (THREE, {"max_tokens": 99}, {"includeThoughts": True, "thinkingBudget": 99}),
        (THREE, {"effort": "none"}, {"includeThoughts": False, "thinkingLevel": "minimal"}),
        (THREE_PRO, {"effort": "medium"}, {"includeThoughts": True, "thinkingLevel": "high"}),
        (OLD, {"effort": "high"}, None),
        ("gemini-2.5-flash-image", {"effort": "high"}, None),
        (FLASH, {}, None),
    ],
)
def test_thinking(model, asked, expected):
    told = config({"reasoning": asked, "max_tokens": 10_000}, model=model)
    assert told.get("thinkingConfig") == expected


NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "format": "uri", "minLength": 1}, {"type": "string", "minLength": 1}),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        # Only texts can be enumerated, and none may be empty; other values keep their type.
        ({"type": "string", "enum": ["", "asc"]}, {"type": "string", "enum": ["asc"]}),
        ({"type": "string", "enum": [""]}, {"type": "string"}),
        ({"type": ["string", "null"], "enum": ["a", None]},
         {"type": "string", "enum": ["a"], "nullable": True}),
        ({"const": True}, {"type": "boolean", "description": "Allowed values: [true]."}),
        ({"type": "integer", "enum": [1, 2]},
         {"type": "integer", "description": "Allowed values: [1, 2]."}),
        ({"enum": [1, 2.5], "description": "d"},
         {"type": "number", "description": "d Allowed values: [1, 2.5]."}),
        ({"enum": ["a", 1]}, {"description": 'Allowed values: ["a", 1].'}),
        ({"type": "integer", "exclusiveMinimum": 1}, {"type": "integer"}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
         {"type": "string", "nullable": True, "default": None}),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]},
         {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"type": "array", "prefixItems": [{"type": "number"}], "uniqueItems": True},
         {"type": "array", "items": {"type": "number"}}),
        ({"$ref": "#/$defs/A", "description": "d", "$defs": {"A": {"type": "string"}}},
         {"type": "string", "description": "d"}),
        ({"allOf": [{"type": "object", "properties": {"a": {"type": "string"}},
                     "required": ["a"]}], "additionalProperties": False},
         {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}),
        ({"type": "object", "properties": {}, "required": ["ghost"]}, {"type": "object"}),
    ],
)  # fmt: skip
def test_schemas_in_openapis_words(schema, expected):
    assert openapi_schema(schema) == expected


def test_a_schema_that_holds_itself_ends():
    told = json.dumps(openapi_schema({**NODE, "$defs": {"Node": NODE}}))
    assert "$ref" not in told


def test_own_fields_pass():
    settings = [{"category": "x", "threshold": "BLOCK_NONE"}]
    body = body_of({"safety_settings": settings, "cached_content": "cachedContents/1"})
    assert (body["safetySettings"], body["cachedContent"]) == (settings, "cachedContents/1")


def test_a_schema_that_branches_at_every_step_stays_small():
    step = {"type": "object", "properties": {"a": {"$ref": "#/$defs/N0"}}}
    both = {
        f"N{i}": {"properties": {side: {"$ref": f"#/$defs/N{i + 1}"} for side in "lr"}}
        for i in range(40)
    }
    assert len(json.dumps(openapi_schema({**step, "$defs": both}))) < 200_000
