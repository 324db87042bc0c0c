"""The shape of an error follows the API that the path belongs to."""

import pytest

from api.core.error_bodies import find_shape
from broker.dialects.errors import ApiError

ERROR = ApiError(
    429,
    "Too many requests.",
    {"error_type": "rate_limit_exceeded", "job_id": "job_1"},
    "model",
    "req_1",
)


@pytest.mark.parametrize("prefix", ["/api/v1", "/v1"])
def test_openai_errors_below_responses(prefix: str) -> None:
    assert find_shape(f"{prefix}/responses/resp_1").build(ERROR) == {
        "error": {
            "message": "Too many requests.",
            "type": "rate_limit_error",
            "param": "model",
            "code": "rate_limit_exceeded",
            "metadata": {"job_id": "job_1"},
        }
    }


@pytest.mark.parametrize("prefix", ["/api/v1", "/v1"])
def test_anthropic_errors_below_messages(prefix: str) -> None:
    assert find_shape(f"{prefix}/messages").build(ERROR) == {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "message": "Too many requests.",
            "error_type": "rate_limit_exceeded",
            "param": "model",
            "metadata": {"job_id": "job_1"},
        },
        "request_id": "req_1",
    }


@pytest.mark.parametrize(
    ("status", "openai", "anthropic"),
    [
        (400, "invalid_request_error", "invalid_request_error"),
        (401, "authentication_error", "authentication_error"),
        (402, "insufficient_quota", "billing_error"),
        (403, "permission_error", "permission_error"),
        (404, "invalid_request_error", "not_found_error"),
        (413, "invalid_request_error", "request_too_large"),
        (500, "server_error", "api_error"),
        (503, "server_error", "overloaded_error"),
        (504, "server_error", "timeout_error"),
    ],
)
def test_the_kinds_of_each_status(status: int, openai: str, anthropic: str) -> None:
    error = ApiError(status, "No.", {"error_type": "server"})
    assert find_shape("/v1/responses").build(error)["error"]["type"] == openai
    assert find_shape("/v1/messages").build(error)["error"]["type"] == anthropic


@pytest.mark.parametrize("path", ["/api/v1/jobs/job_1", "/v1/webhooks"])
def test_problems_on_own_routes(path: str) -> None:
    body = find_shape(path).build(ERROR)
    assert body["type"] == "urn:waybill:error:rate_limit_exceeded"
    assert body["job_id"] == "job_1"


@pytest.mark.parametrize("path", ["/api/v1/chat/completions", "/v1/models", "/nowhere"])
def test_openrouter_errors_elsewhere(path: str) -> None:
    assert find_shape(path).build(ERROR)["error"]["code"] == 429
