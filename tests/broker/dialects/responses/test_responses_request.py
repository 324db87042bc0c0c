"""Bodies of POST /responses become chat bodies, and nothing of them is lost silently."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.dialects.base import DialectJob
from broker.dialects.responses.ids import item_id, job_of_item, job_of_response
from broker.dialects.responses.output_items import OutputStyle, render_call
from broker.dialects.responses.reasoning import MAX_PACKED_BYTES, ItemReader, pack_details
from broker.dialects.responses.request import check_request, translate_request
from broker.errors import InvalidRequestError
from broker.requests.bodies import SCHEMAS, validated
from broker.requests.operations import Operation

USER = {"role": "user", "content": "hi"}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "42"}


HELD = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def translated(history=(), items=None, **body):
    body = {"model": "a/b", "input": "hi"} | body
    check_request(body)
    request = translate_request(body, history, items or {})
    validated(SCHEMAS[Operation.CHAT], request.body)
    return request


def messages(*items, **more):
    return translated(input=list(items), **more).body["messages"]


def refusal(**body):
    with pytest.raises(InvalidRequestError) as refused:
        translated(**body)
    return refused.value


def test_a_text_is_a_message_of_the_user_and_instructions_come_first():
    request = translated(instructions="Be brief.")
    assert request.body["messages"] == [{"role": "system", "content": "Be brief."}, USER]
    assert request.is_instructed
    assert not translated().is_instructed


def test_parts_of_a_message():
    image = {"type": "input_image", "image_url": "https://a/b.png", "detail": "low"}
    file = {"type": "input_file", "filename": "a.pdf", "file_url": "https://a/b.pdf"}
    sound = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    text = {"type": "input_text", "text": "hi", "cache_control": {"type": "ephemeral"}}
    [message] = messages({"role": "user", "content": [text, image, file, sound]})
    assert message["content"] == [
        {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "https://a/b.pdf"}},
        sound,
    ]


def test_the_items_of_one_answer_are_one_message_and_results_follow_their_calls():
    thought = {
        "type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}],
        "encrypted_content": "xyz",
    }  # fmt: skip
    said = {
        "type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
        "content": [{"type": "output_text", "text": "Wait.", "annotations": []}],
    }  # fmt: skip
    other = CALL | {"call_id": "c2"}
    user, answer, first, second = messages(
        USER, thought, said, CALL, other, OUTPUT, OUTPUT | {"call_id": "c2"}
    )
    assert user == USER
    common = {"format": "openai-responses-v1", "id": "rs_1"}
    assert answer == {
        "role": "assistant",
        "content": "Wait.",
        "reasoning_details": [
            {"type": "reasoning.summary", "summary": "Hm", **common, "index": 0},
            {"type": "reasoning.encrypted", "data": "xyz", **common, "index": 1},
        ],
        "tool_calls": [
            {"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}}
            for id_ in ("c1", "c2")
        ],
    }
    assert first == {"role": "tool", "tool_call_id": "c1", "content": "42"}
    assert second["tool_call_id"] == "c2"


def test_text_after_a_call_stays_before_its_result():
    said = {"role": "assistant", "content": "Let me see."}
    [_, answer, _] = messages(USER, CALL, said, OUTPUT)
    assert (answer["content"], len(answer["tool_calls"])) == ("Let me see.", 1)


def test_two_messages_of_the_assistant_stay_two():
    said = {"role": "assistant", "content": "a"}
    assert messages(said, said | {"content": "b"}) == [said, said | {"content": "b"}]


def test_custom_tools_and_their_calls():
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}
    call = {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "x"}
    result = {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"}
    body = translated(
        input=[USER, call, result],
        tools=[{"type": "custom", "name": "patch", "format": grammar}],
        tool_choice={"type": "custom", "name": "patch"},
    ).body
    [tool] = body["tools"]
    assert tool["custom"]["format"] == {
        "type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /a/"},
    }  # fmt: skip
    assert body["tool_choice"] == {"type": "custom", "custom": {"name": "patch"}}
    assert body["messages"][1]["tool_calls"] == [
        {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "x"}}
    ]


def test_options_have_their_names_in_a_chat():
    schema = {"type": "object", "properties": {}}
    body = translated(
        max_output_tokens=9,
        text={
            "verbosity": "low",
            "format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True},
        },
        reasoning={"effort": "low", "summary": "auto"},
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        top_logprobs=2,
        truncation="auto",
        store=False,
        parallel_tool_calls=True,
        tool_choice="auto",
        models=["c/d"],
        provider={"order": ["x"]},
        metadata={"a": "b"},
        seed=7,
    ).body
    del body["messages"]
    assert body == {
        "model": "a/b",
        "max_completion_tokens": 9,
        "verbosity": "low",
        "response_format": {
            "type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True},
        },
        "reasoning": {"effort": "low", "summary": "auto"},
        "logprobs": True,
        "top_logprobs": 2,
        "plugins": [{"id": "context-compression", "enabled": True}],
        "store": False,
        "models": ["c/d"],
        "provider": {"order": ["x"]},
        "metadata": {"a": "b"},
        "seed": 7,
    }  # fmt: skip


def test_the_earlier_turn_comes_after_the_instructions():
    earlier = [USER, {"role": "assistant", "content": None, "tool_calls": [HELD]}]
    found = translated(earlier, instructions="New.", input=[OUTPUT], previous_response_id="resp_1")
    assert [each["role"] for each in found.body["messages"]] == [
        "system", "user", "assistant", "tool",
    ]  # fmt: skip


def test_a_reference_stands_for_the_stored_item():
    id_ = item_id("fc", "job_" + "0" * 26, 1, 0)
    stored = {id_: CALL | {"id": id_, "status": "completed"}}
    for reference in ({"type": "item_reference", "id": id_}, {"id": id_}):
        request = translated(items=stored, input=[USER, reference, OUTPUT])
        assert request.body["messages"][1]["tool_calls"][0]["id"] == "c1"
    assert job_of_item(id_) == "job_" + "0" * 26
    assert job_of_item("msg_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b") is None
    assert job_of_response("resp_1") == job_of_response("gen-1") == job_of_response("job_1")


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"input": []}, "input", "is needed"),
        ({"input": [{"role": "wizard", "content": ""}]}, "input.0.role", "must be 'user'"),
        ({"input": [{"role": "user"}]}, "input.0.content", "is needed"),
        (
            {"input": [USER, {"role": "user", "content": [{"type": "input_text"}]}]},
            "input.1.content.0.text",
            "is needed",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
            "input.0.content.0.type",
            "'text' is none of",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input.0.content.0.image_url",
            "is needed",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            "input.0.content.0.file_data",
            "is needed",
        ),
        ({"input": [{"type": "function_call"}]}, "input.0.call_id", "is needed"),
        ({"input": [OUTPUT]}, "input.0.call_id", "there is no call 'c1'"),
        ({"input": [{"type": "computer_call"}]}, "input.0.type", "'computer_call' has no form"),
        ({"input": [USER | {"type": ["message"]}]}, "input.0.type", "must be text"),
        ({"input": [USER | {"type": ""}]}, "input.0.type", ""),
        ({"input": [CALL | {"namespace": ["a"]}]}, "input.0.namespace", "must be text"),
        ({"input": [{"id": "msg_1"}]}, "input.0.id", "there is no stored item"),
        (
            {"input": [{"type": "reasoning", "encrypted_content": "waybill1.AAAA"}]},
            "input.0.encrypted_content",
            "not the content",
        ),
        ({"tools": [{"type": "file_search"}]}, "tools.0.type", "'file_search' runs on OpenAI"),
        ({"tools": [{"type": "function"}]}, "tools.0.name", "is needed"),
        (
            {"tools": [{"type": "function", "name": "f", "defer_loading": True}]},
            "tools.0.defer_loading",
            "leave it out",
        ),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice.type", "'mcp' is none of"),
        (
            {"tool_choice": {"type": "allowed_tools", "tools": 1}},
            "tool_choice.tools",
            "must be a list",
        ),
        (
            {"tool_choice": {"type": "function", "name": "f", "namespace": []}},
            "tool_choice.namespace",
            "must be text",
        ),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema", "is needed"),
        ({"conversation": "conv_1"}, "conversation", "previous_response_id"),
        ({"prompt": {"id": "p"}}, "prompt", "instructions"),
        ({"max_tokens": 5}, "max_tokens", "max_output_tokens"),
        ({"messages": [USER]}, "messages", "send `input`"),
        ({"max_output_tokens": 0}, "max_output_tokens", "must be 1 or more"),
        ({"truncation": "none"}, "truncation", "must be 'auto' or 'disabled'"),
    ],
)
def test_a_refusal_names_the_field_and_the_remedy(body, param, said):
    error = refusal(**body)
    assert (error.param, said in str(error)) == (param, True), str(error)


def test_what_cannot_be_said_in_a_chat_is_a_warning():
    request = translated(
        tools=[{"type": "web_search"}, {"type": "function", "name": "f"}],
        include=["web_search_call.action.sources"],
        stream_options={"include_obfuscation": True},
        client_metadata={"a": "b"},
    )
    assert [tool["function"]["name"] for tool in request.body["tools"]] == ["f"]
    assert [each.partition(":")[0] for each in request.warnings] == [
        "client_metadata", "tools.0", "include.0", "stream_options.include_obfuscation",
    ]  # fmt: skip


DETAIL = st.fixed_dictionaries(
    {"type": st.sampled_from(["reasoning.text", "reasoning.encrypted"]), "data": st.text()},
    optional={"signature": st.text(), "text": st.text(), "index": st.integers(0, 3)},
)


@given(st.lists(DETAIL, min_size=1))
def test_what_only_a_provider_reads_comes_back_unchanged(details):
    item = {"type": "reasoning", "id": "rs", "encrypted_content": pack_details(details)}
    assert ItemReader().read(item, "input.0") == details
    [_, message] = messages(USER, item)
    assert message["reasoning_details"] == details


def test_reasoning_unpacks_to_a_limit_for_all_items_together():
    half = [{"type": "reasoning.encrypted", "data": "a" * (MAX_PACKED_BYTES // 2)}]
    item = {"type": "reasoning", "id": "rs", "encrypted_content": pack_details(half)}
    assert len(messages(USER, item)) == 2
    error = refusal(input=[USER, item, item, item])
    assert error.param == "input.2.encrypted_content"
    assert "32 MiB" in str(error)


def function(name, **more):
    return {"type": "function", "name": name, "parameters": {"type": "object"}, **more}


def namespace(name, *tools, **more):
    return {"type": "namespace", "name": name, "tools": list(tools), **more}


def names_of(request):
    return [tool["function"]["name"] for tool in request.body["tools"]]


def shown_call(body, name, arguments="{}"):
    call = {"id": "c1", "function": {"name": name, "arguments": arguments}}
    return render_call(call, 0, OutputStyle.of(DialectJob("job_1", "a/b", 0, body), 1))


def test_the_tools_of_a_namespace_are_tools_and_their_calls_name_it():
    space = namespace("agents", function("spawn", description="Start."), description="Agents.")
    request = translated(tools=[space])
    assert names_of(request) == ["spawn"]
    assert request.body["tools"][0]["function"]["description"] == "Agents.\n\nStart."
    item = shown_call({"tools": [space]}, "spawn")
    assert (item["name"], item["namespace"]) == ("spawn", "agents")


def test_tools_of_several_namespaces_may_have_one_name():
    one, two = namespace("mcp__one", function("find")), namespace("mcp__two", function("find"))
    tools = [one, two, function("find")]
    call = {
        "type": "function_call", "call_id": "c1", "name": "find", "namespace": "mcp__two",
        "arguments": "{}",
    }  # fmt: skip
    request = translated(tools=tools, input=[USER, call])
    assert names_of(request) == ["mcp__one__find", "mcp__two__find", "find"]
    [called] = request.body["messages"][-1]["tool_calls"]
    assert called["function"]["name"] == "mcp__two__find"
    item = shown_call({"tools": tools}, "mcp__two__find")
    assert (item["name"], item["namespace"]) == ("find", "mcp__two")
    assert "namespace" not in shown_call({"tools": tools}, "find")
    assert refusal(tools=[namespace("a", function("f"), function("f"))]).param == "tools"


def test_a_long_name_is_cut():
    long = namespace("n" * 80, function("find"))
    [name, _] = names_of(translated(tools=[long, function("find")]))
    assert (len(name), name[-6:]) == (64, "__find")


SEARCH = {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}}


def test_the_search_of_a_client_is_a_function_and_what_it_found_can_be_called():
    found = namespace("agents", function("spawn", defer_loading=True))
    items = [
        USER,
        {"type": "tool_search_call", "call_id": "c1", "execution": "client",
         "arguments": {"query": "agents"}},
        {"type": "tool_search_output", "call_id": "c1", "execution": "client", "tools": [found]},
        {"type": "tool_search_call", "call_id": "c2", "arguments": {}},
        {"type": "tool_search_output", "call_id": "c2", "tools": [found]},
    ]  # fmt: skip
    body = {"tools": [SEARCH], "input": items}
    request = translated(**body)
    assert names_of(request) == ["tool_search", "spawn"]
    [_, call, result, *_] = request.body["messages"]
    assert call["tool_calls"][0]["function"] == {
        "name": "tool_search", "arguments": '{"query":"agents"}',
    }  # fmt: skip
    assert result == {"role": "tool", "tool_call_id": "c1", "content": '{"tools":["spawn"]}'}
    item = shown_call(body, "tool_search", '{"query": "x"}')
    assert (item["type"], item["execution"], item["arguments"]) == (
        "tool_search_call", "client", {"query": "x"},
    )  # fmt: skip
    assert shown_call(body, "spawn")["namespace"] == "agents"


def test_the_search_of_a_server_is_refused():
    assert refusal(tools=[{"type": "tool_search"}]).param == "tools.0.type"


def test_reasoning_that_anybody_can_read_has_no_provider():
    content = [{"type": "reasoning_text", "text": "Hm"}]
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "content": content}
    [_, message] = messages(USER, thought)
    assert message["reasoning_details"] == [{"type": "reasoning.text", "text": "Hm", "index": 0}]
