"""Recorded generateContent requests, written by hand in OpenAI's form: they must mean the same.

What is long or secret (files, schemas, signatures) is taken from the recording itself.
"""

import json
import re

import pytest

from broker.completion import CompletionRequest
from broker.requests.data_uris import canonical_base64
from tests.contract.exchanges import find_exchange
from workers.adapters.base import Upstream
from workers.adapters.gemini import GeminiAdapter

FORMAT = "google-gemini-v1"
SAME = {"parametersJsonSchema": "parameters", "responseSchema": "responseJsonSchema"}


def meaning(value, key=None):
    """Bring the wire's several ways to say one thing into one."""
    if isinstance(value, list):
        return [meaning(entry) for entry in value]
    if not isinstance(value, dict):
        return value.lower() if key in ("type", "thinkingLevel") else value
    said = {}
    for name, entry in value.items():
        camel = re.sub(r"_([a-z])", lambda found: found[1].upper(), name)
        said[SAME.get(camel, camel)] = meaning(entry, camel)
    if key == "systemInstruction":
        said.pop("role", None)
    defaults = {"responseModalities": ["TEXT"], "candidateCount": 1, "description": ""}
    empty = ("generationConfig", "toolConfig", "functionCallingConfig")
    said = {
        name: entry
        for name, entry in said.items()
        if defaults.get(name) != entry and entry is not None and not (name in empty and not entry)
    }
    if said.get("functionCallingConfig") == {"mode": "AUTO"}:
        del said["functionCallingConfig"]
    said.pop("propertyOrdering", None)
    if isinstance(said.get("tools"), dict):
        said["tools"] = [said["tools"]]
    if said.get("parameters") == {"type": "object", "properties": {}}:
        del said["parameters"]
    return {n: e for n, e in said.items() if not (n in empty and not e)}


def openai_tools(body, **more):
    tools = body["tools"] if isinstance(body["tools"], list) else [body["tools"]]
    written = []
    for declared in tools[0].get("functionDeclarations") or tools[0]["function_declarations"]:
        names = ("parameters", "parametersJsonSchema", "parameters_json_schema")
        schema = next((declared[name] for name in names if name in declared), None)
        function = {"name": declared["name"], "parameters": lowered(schema), **more}
        function["description"] = declared.get("description")
        written.append({"type": "function", "function": function})
    return written


def lowered(schema):
    if isinstance(schema, list):
        return [lowered(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: value.lower() if name == "type" and isinstance(value, str) else lowered(value)
        for name, value in schema.items()
    }


def plain(body, text, **more):
    system = [
        {"role": "system", "content": part["text"]}
        for part in body.get("systemInstruction", {}).get("parts", ())
    ]
    return {"messages": [*system, {"role": "user", "content": text}], **more}


def texts_and_a_pdf(body):
    inline = body["contents"][0]["parts"][1]["inlineData"]
    data = inline["data"]  # in the alphabet for URLs, which Google takes too
    inline["data"] = canonical_base64(data)
    pdf = {"file_data": f"data:application/pdf;base64,{data}"}
    return {
        "messages": [
            {"role": "user", "content": [body["contents"][0]["parts"][0] | {"type": "text"},
                                         {"type": "file", "file": pdf}]},
            {"role": "assistant", "content": [part | {"type": "text"}
                                              for part in body["contents"][1]["parts"]]},
            {"role": "user", "content": [part | {"type": "text"}
                                         for part in body["contents"][2]["parts"]]},
        ],
        "temperature": 0,
    }  # fmt: skip


def a_call_and_its_response(body):
    part = body["contents"][1]["parts"][0]
    function = {"name": part["functionCall"]["name"], "arguments": '{"passphrase": "portal"}'}
    call = {"id": "c", "type": "function", "function": function}
    signature = {"type": "reasoning.encrypted", "data": part["thoughtSignature"],
                 "format": FORMAT, "id": "c", "index": 0}  # fmt: skip
    output = body["contents"][2]["parts"][0]["functionResponse"]["response"]["output"]
    return {
        "messages": [
            {"role": "user", "content": body["contents"][0]["parts"][0]["text"]},
            {"role": "assistant", "content": None, "tool_calls": [call],
             "reasoning_details": [signature]},
            {"role": "tool", "tool_call_id": "c", "content": output},
        ],
        "tools": openai_tools(body),
        "max_tokens": 1000,
    }  # fmt: skip


def an_image_by_url(body):
    text, image = body["contents"][0]["parts"]
    url = {"type": "image_url", "image_url": {"url": image["fileData"]["fileUri"]}}
    return plain(body, [{"type": "text", **text}, url])


def files_inline(body):
    text, image, pdf = body["contents"][0]["parts"]
    png = f"data:image/png;base64,{image['inline_data']['data']}"
    source = {"type": "base64", "media_type": "application/pdf", "data": pdf["inline_data"]["data"]}
    return plain(body, [
        {"type": "text", **text},
        {"type": "image_url", "image_url": {"url": png}},
        {"type": "document", "source": source},
    ])  # fmt: skip


def a_video(body):
    text, video = body["contents"][0]["parts"]
    url = f"data:video/mp4;base64,{video['inlineData']['data']}"
    return plain(body, [{"type": "text", **text}, {"type": "video_url", "video_url": {"url": url}}])


def a_text_file_and_a_stop(body):
    text, file = body["contents"][0]["parts"]
    data = {"file_data": f"data:text/plain;base64,{file['inlineData']['data']}"}
    return plain(body, [{"type": "text", **text}, {"type": "file", "file": data}],
                 stop=["\nObservation:"])  # fmt: skip


def a_schema(body):
    schema = body["generationConfig"]["responseJsonSchema"]
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    return plain(body, body["contents"][0]["parts"][0]["text"], response_format=wanted)


def strict_tools(body):
    text = body["contents"][0]["parts"][0]["text"]
    return plain(body, text, tools=openai_tools(body, strict=True))


def tools(body):
    limit = body["generationConfig"].get("maxOutputTokens")
    text = body["contents"][0]["parts"][0]["text"]
    return plain(body, text, tools=openai_tools(body), tool_choice="auto", max_tokens=limit)


def a_forced_tool(body):
    named = {"type": "function", "function": {"name": "__mirascope_formatted_output_tool__"}}
    text = body["contents"][0]["parts"][0]["text"]
    return plain(body, text, tools=openai_tools(body), tool_choice=named)


def a_thinking_level(body):
    text = body["contents"][0]["parts"][0]["text"]
    return plain(body, text, tools=openai_tools(body), reasoning={"effort": "low"})


def a_thinking_budget(body):
    text = body["contents"][0]["parts"][0]["text"]
    return plain(body, text, reasoning={"max_tokens": 4096}, max_tokens=200, n=1,
                 temperature=0.9, top_p=0.8)  # fmt: skip


def hidden_thoughts(body):
    text = body["contents"][0]["parts"][0]["text"]
    return plain(body, text, reasoning={"exclude": True})


def logprobs(body):
    text = body["contents"][0]["parts"][0]["text"]
    return plain(body, text, logprobs=True, top_logprobs=2)


def speech(body):
    text = body["contents"][0]["parts"][0]["text"]
    return plain(body, text, modalities=["audio"], audio={"voice": "Kore", "format": "pcm16"})


REQUESTS = [
    ("google-chat-2558002ce1", texts_and_a_pdf),
    ("google-chat-66c2dca343", a_call_and_its_response),
    ("google-chat-528f98b74b", an_image_by_url),
    ("vertexai-chat-a02b5646ff", files_inline),
    ("vertexai-chat-91c8601acd", a_video),
    ("google-chat-4215d2352a", a_text_file_and_a_stop),
    ("google-chat-b4f2d8c42e", a_schema),
    ("google-chat-aaf757cfd2", strict_tools),
    ("google-chat-29720bd378", strict_tools),
    ("google-chat-3bd9963b45", tools),
    ("google-chat-87b0bbe0cf", tools),
    ("google-chat-ff1fb12bbc", tools),
    ("vertexai-chat-b155d756e5", tools),
    ("google-chat-c9dbc6126a", a_forced_tool),
    ("vertexai-chat-335d3e2aeb", a_thinking_level),
    ("google-chat-e1f9d039df", a_thinking_budget),
    ("google-chat-22bbd38020", hidden_thoughts),
    ("vertexai-chat-7f5c981b95", logprobs),
    ("google-chat-c1e31c1268", speech),
]


@pytest.mark.parametrize(("name", "written"), REQUESTS, ids=[name for name, _ in REQUESTS])
def test_a_recorded_request_comes_out_the_same(name, written):
    exchange = find_exchange(name)
    wanted, vertex = exchange["request"]["body"], name.startswith("vertexai")
    wanted.setdefault("generationConfig", {})
    request = CompletionRequest(written(wanted), exchange["model"])
    quirks = frozenset({"vertex"} if vertex else ())
    to = Upstream(slug="google", base_url="https://h", quirks=quirks)
    sent = json.loads(GeminiAdapter().build_request(request, to).body)
    wanted.pop("model", None)  # said once more by some SDKs, beside the address
    assert meaning(without_ids(sent)) == meaning(wanted)


def without_ids(sent):
    for content in sent["contents"]:
        for part in content["parts"]:
            for name in ("functionCall", "functionResponse"):
                part.get(name, {}).pop("id", None)
    return sent
