"""Results within a batch: an error stands beside the response, whatever the dialect of the line."""

from typing import Any

import pytest

from api.batches.results import render_inline
from broker.dialects.errors import ApiError, build_error
from broker.enums import Dialect

ERROR = ApiError(404, "There is no such model.", {"error_type": "not_found"}, "model")


def show(status: int, body: Any) -> dict[str, Any]:
    response = {"status_code": status, "request_id": "job_1", "body": body}
    return {"id": "batch_req_1", "custom_id": "a", "response": response, "error": None}


@pytest.mark.parametrize(
    "body",
    [
        {"object": "chat.completion", "choices": []},
        {"object": "response", "status": "completed", "error": None},
        {"type": "message", "content": []},
    ],
)
def test_an_answer_stays_as_it_is(body: Any) -> None:
    assert render_inline(show(200, body)) == show(200, body)


@pytest.mark.parametrize(
    ("dialect", "code"), [(None, 404), (Dialect.RESPONSES, "not_found"), (Dialect.MESSAGES, 404)]
)
def test_an_error_has_no_response(dialect: Dialect | None, code: object) -> None:
    inline = render_inline(show(404, build_error(ERROR, dialect)))
    assert inline["response"] is None
    error = inline["error"]
    assert (error["type"], error["code"], error["param"]) == ("not_found", code, "model")
