"""A Messages request becomes a chat body; what Anthropic's wire expresses survives."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.completion import CompletionRequest
from broker.dialects.messages.reasoning import encode_details
from broker.dialects.messages.request import translate_prompt, translate_request
from broker.errors import InvalidRequestError
from broker.requests import native
from broker.requests.bodies import SCHEMAS, validated
from broker.requests.operations import Operation
from workers.adapters.anthropic.request import build_body

MODEL = "claude-sonnet-4-5"
HELLO = {"role": "user", "content": "Hello"}
PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
TEXT = {"type": "text", "text": "Text."}
TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {}}}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}


def body(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 100, "messages": list(messages) or [HELLO]} | fields


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def translate(*messages: Any, **fields: Any) -> dict[str, Any]:
    """Return the chat body of a request, which its own schema accepts."""
    chat = dict(translate_request(body(*messages, **fields)).body)
    validated(SCHEMAS[Operation.CHAT], chat)
    return chat


def send(given: dict[str, Any]) -> dict[str, Any]:
    """Return the body that Anthropic gets for a caller's body."""
    chat = translate_request(given).body
    return build_body(CompletionRequest(native.resolve(chat, "anthropic"), MODEL), frozenset())


def test_text_becomes_a_plain_chat() -> None:
    chat = translate(HELLO, system="Be brief.", stop_sequences=["END"], metadata={"user_id": "u"})
    assert chat["messages"] == [{"role": "system", "content": "Be brief."}, HELLO]
    assert (chat["stop"], chat["user"], chat["max_tokens"]) == (["END"], "u", 100)


def test_tools_and_results_become_openais() -> None:
    call = {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Rome"}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "sunny", "is_error": True}
    chat = translate(
        HELLO,
        assistant({"type": "text", "text": "I look."}, call),
        user(result, {"type": "text", "text": "Well?"}),
        tools=[TOOL],
        tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
    )
    called, answered, asked = chat["messages"][1:]
    assert called["content"] == "I look."
    assert called["tool_calls"][0]["function"] == {
        "name": "weather",
        "arguments": '{"city":"Rome"}',
    }
    assert answered == {
        "role": "tool",
        "tool_call_id": "c1",
        "content": "sunny",
        "is_error": True,
    }
    assert asked == {"role": "user", "content": "Well?"}
    assert chat["tools"][0]["function"]["parameters"] == TOOL["input_schema"]
    assert chat["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert chat["parallel_tool_calls"] is False


def test_images_and_documents_become_parts() -> None:
    chat = translate(
        user(
            {"type": "image", "source": PNG},
            {"type": "image", "source": {"type": "url", "url": "https://h/cat.png"}},
            {"type": "document", "source": {"type": "url", "url": "https://h/a.pdf"}},
        )
    )
    data, url, document = chat["messages"][0]["content"]
    assert data["image_url"]["url"] == "data:image/png;base64,iVBORw0KGgo="
    assert url["image_url"]["url"] == "https://h/cat.png"
    assert document["source"]["url"] == "https://h/a.pdf"


@pytest.mark.parametrize(
    ("thinking", "config", "reasoning"),
    [
        ({"type": "enabled", "budget_tokens": 2000}, {}, {"max_tokens": 2000}),
        ({"type": "adaptive"}, {"effort": "high"}, {"enabled": True, "effort": "high"}),
        ({"type": "disabled"}, {}, {"enabled": False}),
        (None, {"effort": "high"}, None),
    ],
)
def test_thinking_becomes_reasoning(thinking: Any, config: Any, reasoning: Any) -> None:
    assert translate(thinking=thinking, output_config=config).get("reasoning") == reasoning


def test_a_format_becomes_a_response_format() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "minLength": 2}}}
    form = {"type": "json_schema", "schema": schema}
    for fields in ({"output_config": {"format": form}}, {"output_format": form}):
        assert translate(**fields)["response_format"]["json_schema"]["schema"] == schema
        assert send(body(**fields))["output_config"] == {"format": form}


def test_fallbacks_become_models() -> None:
    assert translate(fallbacks=[{"model": "b"}, {"model": "c"}])["models"] == ["b", "c"]


def test_other_wires_get_text_instead_of_search_results() -> None:
    block = {
        "type": "search_result",
        "source": "https://h",
        "title": "Title",
        "content": [{"type": "text", "text": "Text."}],
    }
    chat = native.resolve(translate(user(block)), "openai")
    assert chat["messages"][0]["content"] == [{"type": "text", "text": "Title\nhttps://h\n\nText."}]
    assert "native" not in chat


def test_other_wires_get_no_tool_fields_of_anthropic() -> None:
    chat = native.resolve(translate(tools=[TOOL | {"input_examples": [{}]}]), "openai")
    assert chat["tools"] == [
        {"type": "function", "function": {"name": "weather", "parameters": TOOL["input_schema"]}}
    ]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (body(tools=[TOOL, SEARCH]), "tools.1"),
        (body(mcp_servers=[{"type": "url", "url": "https://h", "name": "n"}]), "mcp_servers"),
        (body(container="c"), "container"),
        (
            body(HELLO, user({"type": "image", "source": {"type": "file", "file_id": "f"}})),
            "messages.1.content.0",
        ),
        (
            body(HELLO, assistant({"type": "server_tool_use", "id": "s", "name": "n"})),
            "messages.1.content.0",
        ),
        (
            body(
                user(
                    {
                        "type": "tool_result",
                        "tool_use_id": "c",
                        "content": [{"type": "tool_reference", "tool_name": "t"}],
                    }
                )
            ),
            "messages.0.content.0.content.0",
        ),
    ],
)
def test_content_of_anthropic_requires_its_wire(given: Any, field: str) -> None:
    [required] = native.find_required_wires(translate_request(given).body)
    assert (required.wire, required.field) == ("anthropic", field)


def test_fields_that_another_wire_does_not_read_are_named() -> None:
    chat = translate_request(
        body(context_management={"edits": []}, thinking={"type": "adaptive"}), ["b-1"]
    ).body
    assert list(native.find_unread(chat, "openai")) == ["context_management", "anthropic-beta: b-1"]
    assert list(native.find_unread(chat, "anthropic")) == []


def test_reasoning_of_other_vendors_comes_back_as_it_was() -> None:
    details = [
        {"type": "reasoning.encrypted", "data": "x", "format": "google-gemini-v1", "id": "c"}
    ]
    signature = encode_details(details)
    turn = assistant(
        {"type": "thinking", "thinking": "I think.", "signature": signature},
        {"type": "text", "text": "Yes."},
    )
    [_, message, _] = translate(HELLO, turn, HELLO)["messages"]
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "I think."},
        *details,
    ]
    assert [
        block["type"] for block in send(body(HELLO, turn, HELLO))["messages"][1]["content"]
    ] == ["text"]


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        (body(user({"type": "image", "source": {"type": "base64", "media_type": "image/png"}})),
         "messages.0.content.0.source.data", "is needed"),
        (body(user({"type": "image", "source": {"type": "base46"}})),
         "messages.0.content.0.source.type", "'base46' is none of"),
        (body(HELLO, user({"type": "text", "text": 5})), "messages.1.content.0.text", "text"),
        (body(user({"text": "x"})), "messages.0.content.0.type", "is needed"),
        (body(user({"type": "thinking", "thinking": "x", "signature": "y"})),
         "messages.0.content.0", "role `user`"),
        (body(assistant({"type": "tool_result", "tool_use_id": "x"})),
         "messages.0.content.0", "role `assistant`"),
        (body({"role": "model", "content": "x"}), "messages.0.role", "'system'"),
        (body(tools=[{"name": "x"}]), "tools.0", "input_schema is needed"),
        (body(tool_choice={"type": "tool"}), "tool_choice", "name is needed"),
        (body(thinking={"type": "enabled"}), "thinking", "budget_tokens is needed"),
        (body(temperature=1.5), "temperature", "1 or less"),
        (body(fallbacks=[{"model": "a"}], models=["b"]), "fallbacks", "together with `models`"),
        (body(fallbacks=[{"model": "a"}] * 4), "fallbacks", "3"),
        ({"model": "m", "messages": [HELLO]}, "max_tokens", "is needed"),
        (body(system=[{"type": "image"}]), "system.0.type", "'text'"),
    ],
)  # fmt: skip
def test_an_error_names_the_field(given: Any, field: str, says: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        translate_request(given)
    assert raised.value.param == field
    assert says in raised.value.message


def test_instructions_within_a_conversation_stay_there() -> None:
    turns = [user(TEXT), {"role": "system", "content": [TEXT]}, assistant(TEXT), user(TEXT)]
    assert send(body(*turns))["messages"] == turns
    chat = native.resolve(translate(*turns), "openai")
    assert chat["messages"][1] == {"role": "system", "content": "Text."}


def test_a_prompt_to_count_needs_no_limit() -> None:
    assert translate_prompt({"model": "m", "messages": [HELLO]}).body["messages"] == [HELLO]


@pytest.mark.parametrize("field", ["metadata", "service_tier", "stop_sequences", "fallbacks"])
def test_the_other_fields_of_a_prompt_to_count_are_checked(field: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        translate_prompt({"model": "m", "messages": [HELLO], field: 1})
    assert raised.value.param == field


def test_betas_go_to_anthropic() -> None:
    assert translate_request(body(), ["a", "b"]).body["native"]["betas"] == ["a", "b"]


# What is normalised: texts become blocks, consecutive turns of one role one turn, and tool results
# come first; blank texts and empty lists are left out, as are null values.
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(str.strip)
marks = st.one_of(
    st.just({}),
    st.just({"cache_control": {"type": "ephemeral"}}),
    st.just({"cache_control": {"type": "ephemeral", "ttl": "1h"}}),
)
citations = st.lists(
    st.fixed_dictionaries({"type": st.just("char_location"), "cited_text": texts}), min_size=1
)
citing = st.fixed_dictionaries({}, optional={"citations": st.just({"enabled": True})})
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
inputs = st.dictionaries(texts, values, max_size=2)


def blocks_of(kind: str, optional: Any = None, **fields: Any) -> Any:
    """Return blocks of a kind, with and without a cache marker."""
    required = st.fixed_dictionaries({"type": st.just(kind), **fields}, optional=optional or {})
    return st.tuples(required, marks).map(lambda pair: {**pair[0], **pair[1]})


plain_texts = st.fixed_dictionaries({"type": st.just("text"), "text": texts})
text_blocks = blocks_of("text", {"citations": citations}, text=texts)
sources = {
    "base64": st.just(PNG),
    "url": st.just({"type": "url", "url": "https://h/cat.png"}),
    "file": st.just({"type": "file", "file_id": "file_1"}),
}
images = blocks_of("image", source=st.one_of(*sources.values()))
documents = st.tuples(
    blocks_of(
        "document",
        {"title": texts, "context": texts},
        source=st.one_of(
            st.just({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}),
            st.just({"type": "url", "url": "https://h/a.pdf"}),
            sources["file"],
            st.fixed_dictionaries(
                {"type": st.just("text"), "media_type": st.just("text/plain"), "data": texts}
            ),
            st.fixed_dictionaries(
                {"type": st.just("content"), "content": st.lists(plain_texts, min_size=1)}
            ),
        ),
    ),
    citing,
).map(lambda pair: {**pair[0], **pair[1]})
searches = blocks_of(
    "search_result",
    {"citations": st.just({"enabled": True})},
    source=texts,
    title=texts,
    content=st.lists(plain_texts, min_size=1, max_size=2),
)
user_blocks = st.lists(st.one_of(text_blocks, images, documents, searches), min_size=1, max_size=4)
thinking = st.one_of(
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": texts, "signature": texts}),
    st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": texts}),
)
served = st.one_of(
    blocks_of("server_tool_use", id=st.just("srv"), name=st.just("web_search"), input=inputs),
    blocks_of("web_search_tool_result", tool_use_id=st.just("srv"), content=st.just([])),
)
said = st.lists(st.one_of(text_blocks, thinking, served, st.just("call")), min_size=1, max_size=5)
results = st.fixed_dictionaries(
    {},
    optional={
        "content": st.lists(st.one_of(plain_texts, images, searches), min_size=1, max_size=2).map(
            lambda blocks: [
                {name: value for name, value in block.items() if name != "cache_control"}
                for block in blocks
            ]
        ),
        "is_error": st.just(True),
        "cache_control": st.just({"type": "ephemeral"}),
    },
)


@st.composite
def conversations(draw: Any) -> list[Any]:
    """Draw the turns of a conversation, in which every call has its result."""
    turns = [user(*draw(user_blocks))]
    calls = 0
    for _ in range(draw(st.integers(0, 2))):
        spoken, answered = [], []
        for block in draw(said):
            if block != "call":
                spoken.append(block)
                continue
            calls += 1
            more = draw(st.sampled_from([{}, {"caller": {"type": "direct"}}]))
            call = {"type": "tool_use", "id": f"toolu_{calls}", "name": "weather"}
            spoken.append({**call, "input": draw(inputs), **more})
            answered.append(
                {"type": "tool_result", "tool_use_id": f"toolu_{calls}", **draw(results)}
            )
        turns += [assistant(*spoken), user(*answered, *draw(user_blocks))]
    return turns


requests = st.fixed_dictionaries(
    {
        "model": st.just(MODEL),
        "max_tokens": st.integers(3000, 9000),
        "messages": conversations(),
    },
    optional={
        "system": st.lists(blocks_of("text", text=texts), min_size=1, max_size=2),
        "tools": st.lists(
            st.one_of(
                st.fixed_dictionaries(
                    {"name": st.just("weather"), "input_schema": st.just({"type": "object"})},
                    optional={
                        "description": texts,
                        "strict": st.booleans(),
                        "input_examples": st.just([{"city": "Rome"}]),
                        "defer_loading": st.booleans(),
                        "cache_control": st.just({"type": "ephemeral"}),
                    },
                ),
                st.just(SEARCH),
                st.just({"type": "mcp_toolset", "mcp_server_name": "n"}),
                st.just({"type": "bash_20250124", "name": "bash"}),
            ),
            min_size=1,
            max_size=3,
        ),
        "thinking": st.sampled_from(
            [
                {"type": "enabled", "budget_tokens": 2000},
                {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
                {"type": "disabled"},
            ]
        ),
        "output_config": st.just(
            {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}}
        ),
        "stop_sequences": st.lists(texts, min_size=1, max_size=2),
        "metadata": st.fixed_dictionaries({"user_id": texts}),
        "service_tier": st.sampled_from(["auto", "standard_only"]),
        "top_k": st.integers(1, 40),
        "container": st.just({"skills": [{"type": "anthropic", "skill_id": "pptx"}]}),
        "context_management": st.just({"edits": [{"type": "clear_tool_uses_20250919"}]}),
        "mcp_servers": st.just([{"type": "url", "url": "https://h", "name": "n"}]),
        "inference_geo": st.just("eu"),
        "cache_control": st.just({"type": "ephemeral"}),
        "field_of_next_year": st.just({"a": [1]}),
    },
)


@given(requests)
def test_what_the_wire_expresses_survives(given: dict[str, Any]) -> None:
    expected = dict(given)
    if expected.get("thinking", {}).get("type") == "enabled":
        expected.pop("top_k", None)  # refused beside thinking
    assert send(given) == expected


choices = st.sampled_from(
    [
        {"type": "auto"},
        {"type": "any", "disable_parallel_tool_use": True},
        {"type": "tool", "name": "weather"},
        {"type": "none"},
    ]
)


@given(choices)
def test_a_tool_choice_survives(choice: dict[str, Any]) -> None:
    assert send(body(tools=[TOOL], tool_choice=choice))["tool_choice"] == choice


@given(requests, st.sampled_from(["openai", "gemini", "bedrock"]))
def test_other_wires_get_a_chat_body(given: dict[str, Any], wire: str) -> None:
    chat = native.resolve(translate_request(given).body, wire)
    assert '"native"' not in repr(chat).replace("'", '"')
    validated(SCHEMAS[Operation.CHAT], {"messages": chat["messages"]})
