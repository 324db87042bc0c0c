import json

import pytest

from broker.completion import AttemptOutcome, CompletionRequest, ErrorType
from workers.adapters.base import ProviderFailureError, Upstream
from workers.adapters.bedrock import BedrockAdapter

NOVA, CLAUDE = "amazon.nova-pro-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NEW_CLAUDE = "us.anthropic.claude-opus-4-7"
HELLO = [{"role": "user", "content": "hello"}]
TOLD = {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}
PNG = "data:image/png;base64,iVBORw0K"
PDF = "data:application/pdf;base64,JVBERi0x"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "f", "description": "", "parameters": SCHEMA}}
SPEC = {"toolSpec": {"name": "f", "inputSchema": {"json": SCHEMA}}}
CACHED = {"cache_control": {"type": "ephemeral"}}
POINT = {"cachePoint": {"type": "default"}}


def told(model=NOVA, **body):
    upstream = Upstream("bedrock", "https://bedrock-runtime.us-east-1.amazonaws.com")
    request = CompletionRequest({"messages": HELLO, **body}, model)
    return json.loads(BedrockAdapter().build_request(request, upstream).body)


PARAMETERS = [
    ({}, {}),
    ({"max_tokens": 5, "temperature": 2, "top_p": 0.5, "stop": ["a", ""]},
     {"inferenceConfig": {"maxTokens": 5, "temperature": 1, "topP": 0.5, "stopSequences": ["a"]}}),
    ({"max_completion_tokens": 7, "stop": "z"},
     {"inferenceConfig": {"maxTokens": 7, "stopSequences": ["z"]}}),
    ({"seed": 1, "n": 2, "frequency_penalty": 1, "logit_bias": {}, "user": "u"}, {}),
    ({"top_k": 9}, {"additionalModelRequestFields": {"inferenceConfig": {"topK": 9}}}),
    ({"service_tier": "flex"}, {"serviceTier": {"type": "flex"}}),
    ({"service_tier": "auto"}, {}),
    ({"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}},
     {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}),
    ({"response_format": {"type": "json_object"}}, {}),
    ({"response_format": {"type": "json_schema",
                          "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}},
     {"outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {
         "name": "x", "schema": json.dumps(SCHEMA, separators=(",", ":"))}}}}}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "wanted"), PARAMETERS)
def test_parameters(body, wanted):
    assert told(**body) == TOLD | wanted


CHOSEN = {"type": "function", "function": {"name": "f"}}
TOOLS = [
    ({"tools": [TOOL]}, {"tools": [SPEC]}),
    ({"tools": [TOOL], "tool_choice": "auto"}, {"tools": [SPEC], "toolChoice": {"auto": {}}}),
    ({"tools": [TOOL], "tool_choice": "required"}, {"tools": [SPEC], "toolChoice": {"any": {}}}),
    ({"tools": [TOOL], "tool_choice": CHOSEN},
     {"tools": [SPEC], "toolChoice": {"tool": {"name": "f"}}}),
    ({"tools": [TOOL], "tool_choice": "none"}, None),
    ({"tools": [TOOL | CACHED]}, {"tools": [SPEC, POINT]}),
    ({"tools": [{"systemTool": {"name": "nova_grounding"}}]},
     {"tools": [{"systemTool": {"name": "nova_grounding"}}]}),
    ({"tools": [{"type": "function", "function": {"name": "g"}}]},
     {"tools": [{"toolSpec": {"name": "g", "inputSchema": {
         "json": {"type": "object", "properties": {}}}}}]}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "wanted"), TOOLS)
def test_tools(body, wanted):
    assert told(**body).get("toolConfig") == wanted


def call(arguments, call_id="t1"):
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}


def result(content, call_id="t1"):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


CONVERSATIONS = [
    # System messages go to `system`, wherever they stand.
    ([{"role": "system", "content": [{"type": "text", "text": "be", **CACHED}]},
      {"role": "developer", "content": "brief"}, *HELLO],
     {"system": [{"text": "be"}, POINT, {"text": "brief"}], **TOLD}),
    ([{"role": "system", "content": "be"}], {"messages": [
        {"role": "user", "content": [{"text": "be"}]}]}),
    # Neighbours merge, blank texts vanish, a begun answer ends without white space.
    ([*HELLO, {"role": "user", "content": " "}, {"role": "user", "content": "again"},
      {"role": "assistant", "content": "So: "}],
     {"messages": [{"role": "user", "content": [{"text": "hello"}, {"text": "again"}]},
                   {"role": "assistant", "content": [{"text": "So:"}]}]}),
    # Parallel calls, their results, and the next question in one turn.
    ([*HELLO,
      {"role": "assistant", "content": "", "tool_calls": [call('{"a":"b"}'), call("no", "t2")]},
      result("15"), result([{"type": "image_url", "image_url": {"url": PNG}}], "t2"),
      {"role": "user", "content": [{"type": "text", "text": "so?", **CACHED}]}],
     {"messages": [
         *TOLD["messages"],
         {"role": "assistant", "content": [
             {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": "b"}}},
             {"toolUse": {"toolUseId": "t2", "name": "f", "input": {"arguments": "no"}}}]},
         {"role": "user", "content": [
             {"toolResult": {"toolUseId": "t1", "content": [{"text": "15"}]}},
             {"toolResult": {"toolUseId": "t2", "content": [
                 {"image": {"format": "png", "source": {"bytes": "iVBORw0K"}}}]}},
             {"text": "so?"}, POINT]}],
      # Converse demands the tools a conversation mentions.
      "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {
          "json": {"type": "object", "properties": {}}}}}]}}),
    # Documents: unique and tame names, and a text beside them.
    ([{"role": "user", "content": [
        {"type": "file", "file": {"filename": "a_b.report.pdf", "file_data": PDF}},
        {"type": "file", "file": {"filename": "a_b.report.pdf", "file_data": PDF}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf",
                                        "data": "JVBERi0x"}},
        {"type": "file", "file": {"filename": "x.md", "file_data": "data:text/plain,hi%21"}}]}],
     {"messages": [{"role": "user", "content": [
         *({"document": {"name": name, "format": "pdf", "source": {"bytes": "JVBERi0x"}}}
           for name in ("a b report", "a b report 2", "Document")),
         {"document": {"name": "x", "format": "txt", "source": {"bytes": "aGkh"}}},
         {"text": "See the attached document."}]}]}),
    ([{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
        {"type": "video_url", "video_url": {"url": "s3://b/c.mp4"}},
        {"guardContent": {"text": {"text": "x"}}}]}],
     {"messages": [{"role": "user", "content": [
         {"audio": {"format": "mp3", "source": {"bytes": "QQ=="}}},
         {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://b/c.mp4"}}}},
         {"guardContent": {"text": {"text": "x"}}}]}]}),
]  # fmt: skip


@pytest.mark.parametrize(("messages", "wanted"), CONVERSATIONS)
def test_conversations(messages, wanted):
    assert told(messages=messages) == wanted


def test_foreign_call_ids_are_made_fit_alike_in_call_and_result():
    spoken = {"role": "assistant", "tool_calls": [call("{}", "functions.f:0|x")]}
    _, called, returned = told(messages=[*HELLO, spoken, result("1", "functions.f:0|x")])[
        "messages"
    ]
    call_id = called["content"][0]["toolUse"]["toolUseId"]
    assert returned["content"][0]["toolResult"]["toolUseId"] == call_id
    assert call_id.removeprefix("tooluse_").isalnum()


def test_signed_reasoning_goes_back_and_no_other():
    details = [
        {"type": "reasoning.text", "text": "a", "index": 0, "format": "anthropic-claude-v1"},
        {"type": "reasoning.text", "text": "b", "signature": "s", "index": 0},
        {"type": "reasoning.encrypted", "data": "QQ==", "index": 1, "format": None},
        {"type": "reasoning.text", "text": "unsigned", "index": 2},
        {"type": "reasoning.encrypted", "data": "x", "format": "google-gemini-v1"},
    ]
    spoken = {"role": "assistant", "content": "so", "reasoning_details": details}
    assert told(messages=[*HELLO, spoken, *HELLO])["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "ab", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "QQ=="}},
        {"text": "so"},
    ]


FORCED = {"tools": [TOOL], "tool_choice": "required"}
FAMILIES = [
    (CLAUDE, {"reasoning": {"max_tokens": 2000}, "max_tokens": 3000, "temperature": 0.5},
     {"inferenceConfig": {"maxTokens": 3000},
      "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2000}}}),
    (CLAUDE, {"reasoning": {"effort": "low"}, "max_tokens": 100, "top_k": 3},
     {"inferenceConfig": {"maxTokens": 1124},
      "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}),
    (CLAUDE, {"reasoning": {"effort": "high"}, **FORCED},
     {"toolConfig": {"tools": [SPEC], "toolChoice": {"any": {}}}}),
    (CLAUDE, {"temperature": 0.5, "top_p": 0.9, "top_k": 3},
     {"inferenceConfig": {"temperature": 0.5}, "additionalModelRequestFields": {"top_k": 3}}),
    (NEW_CLAUDE, {"reasoning": {"effort": "xhigh"}, "temperature": 0.5},
     {"outputConfig": {"effort": "xhigh"}, "additionalModelRequestFields": {
         "thinking": {"type": "adaptive", "display": "summarized"}}}),
    ("anthropic.claude-3-haiku-20240307-v1:0",
     {"reasoning": {"effort": "high"}, "response_format": {
         "type": "json_schema", "json_schema": {"schema": SCHEMA}}}, {}),
    ("us.amazon.nova-2-lite-v1:0", {"reasoning_effort": "high", "max_tokens": 9},
     {"additionalModelRequestFields": {
         "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}}),
    ("us.amazon.nova-2-lite-v1:0", {"reasoning_effort": "low", "max_tokens": 9},
     {"inferenceConfig": {"maxTokens": 9}, "additionalModelRequestFields": {
         "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}}),
    (NOVA, {"reasoning_effort": "low"}, {}),
    ("openai.gpt-oss-120b-1:0", {"reasoning_effort": "low"},
     {"additionalModelRequestFields": {"reasoning_effort": "low"}}),
    ("meta.llama3-1-8b-instruct-v1:0", {"reasoning_effort": "low", "top_k": 4}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("model", "body", "wanted"), FAMILIES)
def test_families(model, body, wanted):
    assert told(model, **body) == TOLD | wanted


def test_no_budgeted_thinking_where_its_thread_is_lost():
    looped = [*HELLO, {"role": "assistant", "tool_calls": [call("{}")]}, result("15")]
    body = told(CLAUDE, messages=looped, tools=[TOOL], reasoning={"max_tokens": 2000})
    assert "additionalModelRequestFields" not in body


UNUSABLE = [
    ({"type": "image_url", "image_url": {"url": "https://x/y.png"}}, ErrorType.INVALID_REQUEST),
    ({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,QQ=="}},
     ErrorType.UNSUPPORTED_IMAGE_FORMAT),
    ({"type": "hologram"}, ErrorType.INVALID_REQUEST),
]  # fmt: skip


@pytest.mark.parametrize(("part", "error_type"), UNUSABLE)
def test_what_cannot_be_said_is_refused_before_it_is_sent(part, error_type):
    with pytest.raises(ProviderFailureError) as caught:
        told(messages=[{"role": "user", "content": [part]}])
    assert caught.value.failure.error_type is error_type
    assert caught.value.failure.outcome is AttemptOutcome.NOT_SENT
