import json

import pytest

from broker.completion import CompletionRequest, ErrorType
from workers.adapters.base import Upstream
from workers.adapters.openai.adapter import AzureAdapter

HOST = "https://r.openai.azure.com"
REQUEST = CompletionRequest({"messages": [{"role": "user", "content": "a"}]}, "my gpt", stream=True)
DATED = {"api_version": "2024-10-21"}
URLS = [
    (HOST, DATED, "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"),
    (f"{HOST}/", DATED, "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"),
    (f"{HOST}/openai", DATED,
     "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"),
    (HOST, {}, "/openai/v1/chat/completions"),
    (f"{HOST}/openai/v1/", {}, "/openai/v1/chat/completions"),
    (HOST, {"api_version": "preview"}, "/openai/v1/chat/completions?api-version=preview"),
    (f"{HOST}/models", {"api_version": "2024-05-01-preview"},
     "/models/chat/completions?api-version=2024-05-01-preview"),
]  # fmt: skip


def sent(base_url=HOST, options=None, **more):
    upstream = Upstream("azure", base_url, api_key="key", options=options or {}, **more)
    return AzureAdapter().build_request(REQUEST, upstream)


@pytest.mark.parametrize(("base_url", "options", "path"), URLS)
def test_addresses(base_url, options, path):
    assert sent(base_url, options).url == HOST + path


def test_keys_and_tokens():
    assert sent().headers["api-key"] == "key"
    assert "authorization" not in sent().headers
    assert sent(options={"auth": "entra"}).headers["authorization"] == "Bearer key"


def test_the_model_is_named_in_the_body_too():
    assert json.loads(sent().body)["model"] == "my gpt"


def test_content_filter_fields_are_no_failures():
    filtered = {"error": {"code": "content_filter_error", "message": "timed out"}}
    events = [
        {"choices": [], "prompt_filter_results": [{"prompt_index": 0}], "id": "", "model": ""},
        {"choices": [{"index": 0, "delta": {"content": "a"}, "content_filter_result": filtered}]},
        {"choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]},
    ]
    reader = AzureAdapter().create_stream_reader(REQUEST)
    data = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    chunks = reader.feed(data.encode()) + reader.close()
    assert chunks[0].choices[0]["delta"]["content"] == "a"
    assert chunks[-1].choices[0]["finish_reason"] == "content_filter"


ERRORS = [
    (404, {"error": {"code": "DeploymentNotFound", "message": "does not exist"}},
     ErrorType.NOT_FOUND),
    (400, {"error": {"code": "content_filter", "message": "The response was filtered due to the "
                     "prompt triggering Azure OpenAI's content management policy."}},
     ErrorType.CONTENT_POLICY_VIOLATION),
    (401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key"}},
     ErrorType.AUTHENTICATION),
    (429, {"error": {"code": "429", "message": "exceeded token rate limit. Please retry after 7 "
                     "seconds."}}, ErrorType.RATE_LIMIT_EXCEEDED),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "error_type"), ERRORS)
def test_errors(status, body, error_type):
    failure = AzureAdapter().read_error(status, {}, json.dumps(body).encode())
    assert failure.error_type is error_type
