"""Every refusal of Waybill's own has a documented type and says when to come back."""

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.exc import OperationalError
from starlette.requests import Request

from api.core.error_bodies import ErrorBody, ProblemBody
from api.core.errors import error_response
from broker import errors
from broker.completion import OWN_ERROR_TYPES, ErrorType
from broker.errors import WaybillError, http_status
from broker.jobs.error_envelope import describe_job_failure
from workers.adapters.errors.classification import read_error

PAGE = (Path(__file__).parents[3] / "docs/reference/errors.md").read_text()
OWN, _, OF_PROVIDERS = PAGE.partition("## Errors of providers")
ROWS = {
    name: (int(status), again)
    for name, status, again in re.findall(
        r"^\| `(\w+)` \| (\d+) \| .* \| (.+) \|$", OWN, re.MULTILINE
    )
}


def _kinds(kind: type[WaybillError] = WaybillError) -> list[type[WaybillError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _kinds(child))]


KINDS = [kind for kind in _kinds() if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("path", ["/api/v1/chat/completions", "/api/v1/jobs"])
def test_each_refusal_answers_as_the_page_says(kind: type[WaybillError], path: str) -> None:
    error = kind.__new__(kind)
    WaybillError.__init__(error, "No.")
    request = Request({"type": "http", "path": path, "headers": []})
    response = error_response(request, error)
    status, again = ROWS[error.error_type.value]
    own_status = {"NoEndpointError", "UnknownModelError", "ModalityError"}
    assert response.status_code == status or kind.__name__ in own_status
    assert error.error_type.value.encode() in response.body
    stated = re.match(r"`Retry-After: (\d+)`", again)
    if stated:
        assert response.headers["Retry-After"] == stated[1]
    elif not again.startswith("`Retry-After`"):  # who raises it knows for how long
        assert "Retry-After" not in response.headers


@pytest.mark.parametrize(
    ("path", "model"), [("/api/v1/chat/completions", ErrorBody), ("/api/v1/jobs", ProblemBody)]
)
def test_the_documented_model_reads_an_error(path: str, model: type[BaseModel]) -> None:
    request = Request({"type": "http", "path": path, "headers": []})
    body = error_response(request, errors.InvalidRequestError("No.", param="model")).body
    found = model.model_validate_json(bytes(body))
    assert found.model_dump(mode="json", exclude_unset=True) == json.loads(bytes(body))


@pytest.mark.parametrize("error_type", ErrorType)
def test_every_type_is_documented_with_its_status(error_type: ErrorType) -> None:
    if error_type in OWN_ERROR_TYPES:
        assert ROWS[error_type.value][0] == http_status(error_type)
        return
    shown = error_type.value in ROWS or f"`{error_type}`" in OF_PROVIDERS
    assert shown, f"{error_type} is not in docs/reference/errors.md"


def test_every_documented_type_exists() -> None:
    assert set(ROWS) <= {error_type.value for error_type in ErrorType}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"status": "cancelled"}, (499, "cancelled")),
        ({"status": "needs_review"}, (502, "needs_review")),
        (
            {"status": "failed", "error": {"error_type": "worker_lost", "message": "gone"}},
            (502, "worker_lost"),
        ),
        (
            {"status": "expired", "error": {"error_type": "deadline_exceeded", "message": "late"}},
            (504, "deadline_exceeded"),
        ),
    ],
)
def test_an_end_without_an_answer_has_its_own_type(told, expected) -> None:
    status, _, metadata = describe_job_failure(told)
    assert (status, metadata["error_type"]) == expected


@pytest.mark.parametrize("error_type", sorted(OWN_ERROR_TYPES))
def test_another_waybills_trouble_is_a_providers_error_here(error_type: ErrorType) -> None:
    body = b'{"error": {"code": 503, "message": "Away.", "metadata": {"error_type": "%s"}}}'
    told = read_error(503, {}, body % error_type.encode())
    assert told.error_type not in OWN_ERROR_TYPES


@pytest.mark.parametrize(
    ("error", "status", "error_type", "again"),
    [
        (OperationalError("", {}, Exception("server closed")), 503, "service_unavailable", "2"),
        (
            OperationalError("", {}, Exception("database or disk is full")),
            507,
            "storage_full",
            "30",
        ),
        (RedisConnectionError("refused"), 503, "service_unavailable", "2"),
    ],
    ids=["database away", "disk full", "Redis away"],
)
async def test_what_waybill_itself_lacks_is_told_as_such(
    api, monkeypatch, error, status, error_type, again
) -> None:
    key = api.key()

    async def fails(*_: object, **__: object) -> None:
        raise error

    for name in ("write", "write_grouped"):
        monkeypatch.setattr(api.app.state.services.database, name, fails)
    answer = await api.ask(
        "POST",
        "/chat/completions",
        key,
        json={"model": "acme/small", "messages": [{"role": "user", "content": "Hi"}]},
    )
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["metadata"]["error_type"] == error_type
    assert answer.headers["Retry-After"] == again
