"""A chat body as a request of the Responses API."""

import json

import pytest

from broker.completion import AttemptOutcome, CompletionRequest, ErrorType
from broker.providers.configuration import Provider
from broker.providers.endpoints import DataPolicy
from workers.adapters.base import ProviderFailureError, Upstream
from workers.adapters.responses import AzureResponsesAdapter, ResponsesAdapter
from workers.provider_routes import build_upstream

OPENAI = Upstream("openai", "https://api.openai.com/v1", "sk-key")
USER = {"role": "user", "content": "Hi"}


def built(model="gpt-5-pro", *, stream=False, **body):
    body = {"messages": [USER], **body}
    return ResponsesAdapter().build_request(CompletionRequest(body, model, stream=stream), OPENAI)


def sent(model="gpt-5-pro", *, stream=False, **body):
    return json.loads(built(model, stream=stream, **body).body)


def sent_input(*messages, **body):
    return sent(messages=list(messages), **body)["input"]


def refusal(**body):
    with pytest.raises(ProviderFailureError) as caught:
        sent(**body)
    assert caught.value.failure.outcome is AttemptOutcome.NOT_SENT
    assert caught.value.failure.error_type is ErrorType.INVALID_REQUEST
    return caught.value.failure.message


def test_a_plain_request():
    request = built()
    assert request.url == "https://api.openai.com/v1/responses"
    assert request.headers["authorization"] == "Bearer sk-key"
    assert json.loads(request.body) == {
        "model": "gpt-5-pro",
        "input": [USER],
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    assert sent(stream=True)["stream"] is True


@pytest.mark.parametrize(
    ("base", "options"),
    [
        ("https://me.openai.azure.com", {}),
        ("https://me.openai.azure.com/openai/v1/", {}),
        ("https://me.openai.azure.com", {"api_version": "2024-10-21"}),
        ("https://me.openai.azure.com/models", {"api_version": "2024-05-01-preview"}),
    ],
)
def test_azure_has_one_address_for_all_versions(base, options):
    upstream = Upstream("azure", base, "key", options=options)
    request = CompletionRequest({"messages": [USER]}, "my-deployment")
    made = AzureResponsesAdapter().build_request(request, upstream)
    assert made.url == "https://me.openai.azure.com/openai/v1/responses"
    assert made.headers["api-key"] == "key"
    assert json.loads(made.body)["model"] == "my-deployment"


def test_instructions_are_items():
    told = sent_input({"role": "system", "content": "Be brief."}, USER)
    assert told == [{"role": "system", "content": "Be brief."}, USER]
    parts = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    assert sent_input({"role": "developer", "content": parts}) == [
        {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]}
    ]


def test_parts_of_a_users_message():
    parts = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"},
        },
        {"type": "file", "file": {"file_data": "https://x.test/a.pdf"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]
    [item] = sent_input({"role": "user", "content": parts})
    assert item["content"] == [
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": "https://x.test/a.png", "detail": "low"},
        {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "auto"},
        {
            "type": "input_file",
            "filename": "a.pdf",
            "file_data": "data:application/pdf;base64,QUJD",
        },
        {"type": "input_file", "file_url": "https://x.test/a.pdf"},
        {"type": "input_file", "file_id": "file-1"},
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}},
    ],
)
def test_audio_and_video_are_refused(part):
    message = refusal(messages=[{"role": "user", "content": [part]}])
    assert message.startswith("messages: the Responses API takes no ")


def test_an_image_of_the_assistant_is_refused():
    part = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
    message = refusal(messages=[{"role": "assistant", "content": [part]}])
    assert message.startswith("messages: the Responses API takes no image_url in an assistant's")


FUNCTION = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
CUSTOM = {"id": "call_2", "type": "custom", "custom": {"name": "python", "input": "1 + 1"}}


def test_a_turn_with_reasoning_text_calls_and_results():
    details = [
        {"type": "reasoning.summary", "summary": "I ", "id": "rs_1", "index": 0},
        {"type": "reasoning.summary", "summary": "call.", "id": "rs_1", "index": 0},
        {"type": "reasoning.summary", "summary": "Twice.", "id": "rs_1", "index": 1},
        {"type": "reasoning.encrypted", "data": "gAAA", "id": "rs_1", "index": 2},
        {"type": "reasoning.encrypted", "data": "gAAB", "id": "rs_2", "index": 3},
        {"type": "reasoning.summary", "summary": "lost", "id": "rs_3", "index": 4},
    ]
    own = [{**each, "format": "openai-responses-v1"} for each in details]
    foreign = {
        "type": "reasoning.text",
        "text": "a",
        "signature": "s",
        "format": "anthropic-claude-v1",
    }
    assistant = {
        "role": "assistant", "content": "One moment.", "reasoning": "I call. Twice.",
        "reasoning_details": [*own, foreign], "tool_calls": [FUNCTION, CUSTOM],
    }  # fmt: skip
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
    results = [
        {
            "role": "tool",
            "tool_call_id": "call_1",
            "content": [{"type": "text", "text": "2"}, image],
        },
        {"role": "tool", "tool_call_id": "call_2", "content": "2"},
    ]
    assert sent_input(USER, assistant, *results) == [
        USER,
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA", "summary": [
            {"type": "summary_text", "text": "I call."},
            {"type": "summary_text", "text": "Twice."}]},
        {"type": "reasoning", "id": "rs_2", "encrypted_content": "gAAB", "summary": []},
        {"role": "assistant", "content": [{"type": "output_text", "text": "One moment."}]},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":1}'},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "python", "input": "1 + 1"},
        {"type": "function_call_output", "call_id": "call_1", "output": [
            {"type": "input_text", "text": "2"},
            {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "auto"}]},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "2"},
    ]  # fmt: skip


def test_a_stored_item_is_named_by_its_id_alone():
    detail = {
        "type": "reasoning.summary",
        "summary": "a",
        "id": "rs_1",
        "format": "openai-responses-v1",
    }
    turn = {"role": "assistant", "content": None, "reasoning_details": [detail]}
    assert [item["type"] for item in sent_input(USER, turn, store=True)[1:]] == ["reasoning"]
    assert sent_input(USER, turn)[1:] == []


def test_a_refusal_of_an_earlier_turn():
    assert sent_input({"role": "assistant", "content": None, "refusal": "No."}) == [
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    ]


def test_long_ids_are_shortened_alike():
    call = {**FUNCTION, "id": "x" * 80}
    turn = {"role": "assistant", "content": None, "tool_calls": [call]}
    made, result = sent_input(turn, {"role": "tool", "tool_call_id": "x" * 80, "content": "1"})
    assert made["call_id"] == result["call_id"]
    assert len(made["call_id"]) <= 64


NOTHING = {"type": "object", "properties": {}}
GRAMMAR = {"syntax": "regex", "definition": "[0-9]+"}


def test_tools_are_flat():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    tools = [
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": schema, "strict": True},
        },
        {"type": "function", "function": {"name": "g"}},
        {
            "type": "custom",
            "custom": {"name": "c", "format": {"type": "grammar", "grammar": GRAMMAR}},
        },
        {"type": "custom", "custom": {"name": "d", "description": "d", "format": {"type": "text"}}},
        {"type": "code_interpreter", "container": {"type": "auto"}},
    ]
    assert sent(tools=tools, parallel_tool_calls=False)["tools"] == [
        {"type": "function", "name": "f", "description": "d", "parameters": schema, "strict": True},
        {
            "type": "function",
            "name": "g",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        },
        {"type": "custom", "name": "c", "format": {"type": "grammar", **GRAMMAR}},
        {"type": "custom", "name": "d", "description": "d", "format": {"type": "text"}},
        {"type": "code_interpreter", "container": {"type": "auto"}},
    ]


NAMED = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("choice", "flat"),
    [
        ("required", "required"),
        (NAMED, {"type": "function", "name": "f"}),
        ({"type": "custom", "custom": {"name": "c"}}, {"type": "custom", "name": "c"}),
        ({"type": "web_search"}, {"type": "web_search"}),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}},
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}],
            },
        ),
    ],
)
def test_a_tool_choice_is_flat(choice, flat):
    assert sent(tools=[NAMED], tool_choice=choice)["tool_choice"] == flat
    assert "tool_choice" not in sent(tool_choice=choice)


def test_the_form_of_the_answer():
    schema = {"name": "s", "schema": {"type": "object"}, "strict": True}
    body = sent(response_format={"type": "json_schema", "json_schema": schema}, verbosity="low")
    assert body["text"] == {"format": {"type": "json_schema", **schema}, "verbosity": "low"}
    assert sent(response_format={"type": "json_object"})["text"]["format"] == {
        "type": "json_object"
    }


@pytest.mark.parametrize(
    ("body", "reasoning"),
    [
        (
            {"reasoning": {"effort": "high", "summary": "auto"}},
            {"effort": "high", "summary": "auto"},
        ),
        ({"reasoning_effort": "low"}, {"effort": "low"}),
        ({"reasoning": {"enabled": True, "max_tokens": 2000}}, None),
        ({"reasoning": {"enabled": False}}, {"effort": "none"}),
        ({"include_reasoning": True}, {"summary": "auto"}),
        ({"reasoning": {"effort": "low", "summary": "auto", "exclude": True}}, {"effort": "low"}),
        ({"reasoning": {"effort": "high", "mode": "pro"}}, {"effort": "high", "mode": "pro"}),
    ],
)
def test_reasoning(body, reasoning):
    assert sent(**body).get("reasoning") == reasoning


def test_reasoning_that_is_not_wanted_is_not_requested():
    assert "include" not in sent(reasoning={"exclude": True})
    assert "include" not in sent("gpt-4o")
    assert sent("openai/gpt-5.1")["include"] == ["reasoning.encrypted_content"]


@pytest.mark.parametrize(("given", "limit"), [(5, 16), (16, 16), (1000, 1000)])
def test_a_limit_below_the_least_is_raised(given, limit):
    assert sent(max_tokens=given)["max_output_tokens"] == limit
    assert sent(max_completion_tokens=given)["max_output_tokens"] == limit


def test_fields_of_the_same_meaning():
    same = {
        "temperature": 0.5, "top_p": 0.9, "user": "u", "safety_identifier": "s",
        "prompt_cache_key": "k", "prompt_cache_retention": "24h", "truncation": "auto",
        "max_tool_calls": 3,
    }  # fmt: skip
    body = sent(**same, service_tier="fast", metadata={"a": "b"})
    assert {name: body[name] for name in same} == same
    assert body["service_tier"] == "priority"
    assert "metadata" not in body
    assert sent(store=True, metadata={"a": "b"})["metadata"] == {"a": "b"}


def test_log_probabilities():
    body = sent("gpt-4o", logprobs=True, top_logprobs=2)
    assert body["top_logprobs"] == 2
    assert body["include"] == ["message.output_text.logprobs"]


def test_web_search_and_images_are_tools():
    place = {"type": "approximate", "approximate": {"country": "NO"}}
    body = sent(web_search_options={"search_context_size": "low", "user_location": place})
    assert body["tools"] == [
        {"type": "web_search", "search_context_size": "low",
         "user_location": {"type": "approximate", "country": "NO"}}
    ]  # fmt: skip
    assert sent(modalities=["text", "image"])["tools"] == [{"type": "image_generation"}]


def test_a_research_model_gets_a_tool_to_search_with():
    assert sent("o3-deep-research")["tools"] == [{"type": "web_search_preview"}]
    own = [{"type": "mcp", "server_label": "s", "server_url": "https://x.test"}]
    assert sent("o3-deep-research", tools=own)["tools"] == own


ABSENT = {
    "n": 2, "stop": ["a"], "seed": 7, "logit_bias": {"5": 1}, "frequency_penalty": 0.5,
    "presence_penalty": 0.5, "repetition_penalty": 1.1, "top_k": 5, "min_p": 0.1, "top_a": 0.1,
    "prediction": {"type": "content", "content": "a"}, "audio": {"voice": "alloy"},
    "modalities": ["text", "audio"],
}  # fmt: skip


@pytest.mark.parametrize("name", ABSENT)
def test_what_the_wire_lacks_is_refused_by_name(name):
    assert refusal(**{name: ABSENT[name]}).startswith(f"{name}: the provider serves this model by")


def test_values_without_effect_are_left_out():
    body = sent(n=1, stop=[], frequency_penalty=0, top_k=0, repetition_penalty=1.0, seed=None)
    assert set(body) == {"model", "input", "store", "include"}


def apart(model="gpt-5-pro", *, quirks=("background",), options=(), stream=False, **body):
    upstream = Upstream("p", "https://h/v1", "k", options=dict(options), quirks=frozenset(quirks))
    request = CompletionRequest({"messages": [USER], **body}, model, stream=stream)
    return ResponsesAdapter().build_request(request, upstream)


@pytest.mark.parametrize("model", ["gpt-5-pro", "o3-pro-2025-06-10", "o4-mini-deep-research"])
def test_a_model_that_takes_long_answers_in_the_background(model):
    request = apart(model)
    body = json.loads(request.body)
    assert (body["background"], body["store"], body["stream"]) == (True, True, True)
    assert request.headers["accept"] == "text/event-stream"


@pytest.mark.parametrize(
    "made",
    [
        apart("gpt-5.3-codex"),
        apart(quirks=()),
        apart(options={"background": False}),
        apart(store=False),
    ],
)
def test_others_do_not(made):
    assert not {"background", "stream"} & set(json.loads(made.body))


def test_a_provider_may_answer_all_in_the_background():
    assert json.loads(apart("gpt-5.3-codex", options={"background": True}).body)["background"]


def test_an_answer_in_the_background_is_continued_and_cancelled_by_its_id():
    created = {"type": "response.created", "sequence_number": 0}
    created["response"] = {"id": "resp_1", "background": True}
    reader = ResponsesAdapter().create_stream_reader(CompletionRequest({}, "m", stream=True))
    assert reader.background_id is None
    reader.feed(f"data: {json.dumps(created)}\n\ndata: half an ev".encode())
    assert (reader.background_id, reader.last_event) == ("resp_1", 0)
    request = ResponsesAdapter().build_continuation(reader, OPENAI)
    url = "https://api.openai.com/v1/responses/resp_1"
    assert (request.method, request.url) == ("GET", f"{url}?stream=true&starting_after=0")
    assert request.headers["authorization"] == "Bearer sk-key"
    request = ResponsesAdapter().build_cancellation(reader, OPENAI)
    assert (request.method, request.url) == ("POST", f"{url}/cancel")
    azure = Upstream("azure", "https://me.openai.azure.com", "key")
    request = AzureResponsesAdapter().build_continuation(reader, azure)
    assert request.url.startswith("https://me.openai.azure.com/openai/v1/responses/resp_1?")
    assert request.headers["api-key"] == "key"


@pytest.mark.parametrize(("zdr", "quirks"), [(True, set()), (False, {"background"})])
def test_a_provider_that_keeps_no_data_has_no_background(zdr, quirks):
    policy = DataPolicy(zdr=zdr)
    provider = Provider(
        "openai", "OpenAI", "openai", "https://h/v1", quirks=frozenset({"background"}),
        data_policy=policy,
    )  # fmt: skip
    assert build_upstream(provider).quirks == quirks
