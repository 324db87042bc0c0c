"""Bad input gets a 4xx that names the field, and leaves nothing behind."""

import gzip
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from broker.ids import new_id
from tests.installation import Installation, chat

USER = {"role": "user", "content": "hi"}
TEXT = {"type": "text", "text": ""}
CHAT = chat()
OURS = new_id("file_")
NEVER_A_NUMBER = "many"
DEEP: Any = None
for _ in range(400):
    DEEP = [DEEP]


@pytest.fixture(autouse=True)
def nothing_is_stored(installation: Installation) -> Iterator[None]:
    before = _stored(installation)
    yield
    assert _stored(installation) == before, "a refused request left something behind"


def _stored(installation: Installation) -> list[int]:
    tables = ("jobs", "job_payloads", "ledger_entries", "attempts")
    return [installation.ask(f"SELECT count(*) FROM {table}")[0][0] for table in tables]


def with_message(**message: Any) -> dict[str, Any]:
    return {"messages": [USER, message]}


def with_part(**part: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [part]}]}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [1]}, "messages.0"),
        ({"messages": [USER] * 50_001}, "messages"),
        ({"messages": [{"role": "user", "content": [TEXT] * 50_000}]}, "messages"),
        (with_message(role="assistant", tool_calls=[{}] * 50_000), "messages"),
        ({"tools": [{"type": "a"}] * 10_001}, "tools"),
        (with_message(role="wizard", content="x"), "messages.1.role"),
        (with_message(content="x"), "messages.1.role"),
        (with_message(role="user"), "messages.1.content"),
        (with_message(role="user", content=7), "messages.1.content"),
        (with_message(role="tool", content="x"), "messages.1.tool_call_id"),
        (with_part(type="hologram"), "messages.0.content.0.type"),
        (with_part(type="text"), "messages.0.content.0.text"),
        (with_part(type="image_url", image_url="x"), "messages.0.content.0.image_url"),
        (with_part(type="file", file={"file_id": OURS}), "messages.0.content.0.file.file_id"),
        (
            with_part(type="document", source={"type": "file", "file_id": OURS}),
            "messages.0.content.0.source.file_id",
        ),
        ({"model": 5}, "model"),
        ({"model": ""}, "model"),
        ({"model": None}, "model"),
        ({"models": "sim/sim"}, "models"),
        ({"models": [1]}, "models.0"),
        ({"models": ["sim/sim"] + [f"a/{n}" for n in range(20)]}, "models"),
        ({"route": {"fallbacks": "sim/sim"}}, "route.fallbacks"),
        ({"stream": "false"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "10"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 10**18}, "max_tokens"),
        ({"max_tokens": 10**40}, "max_tokens"),
        ({"max_completion_tokens": -5}, "max_completion_tokens"),
        ({"max_completion_tokens": 10**18}, "max_completion_tokens"),
        ({"temperature": NEVER_A_NUMBER}, "temperature"),
        ({"temperature": "0.5"}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"n": 0}, "n"),
        ({"stop": 4}, "stop"),
        ({"stop": [4]}, "stop.0"),
        ({"logit_bias": {"1": "x"}}, "logit_bias.1"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools.0"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools.0.function.name"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"stream_options": "usage"}, "stream_options"),
        ({"plugins": [{"id": "file-parser"}, {"id": "web"}]}, "plugins.1.id"),
        ({"plugins": [{"id": "zzz"}]}, "plugins.0.id"),
        ({"plugins": [{}]}, "plugins.0.id"),
        ({"tools": [{"type": "openrouter:web_search"}]}, "tools.0.type"),
        ({"metadata": "x"}, "metadata"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"user": 5}, "user"),
        ({"seed": "x"}, "seed"),
        ({"metadata": {"deep": DEEP}}, "body"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_wrong_field_is_named(
    installation: Installation, change: dict[str, Any], param: str
) -> None:
    answer = installation.http.post("/chat/completions", json=CHAT | change)
    check_envelope(answer, 400)
    assert answer.json()["error"]["param"] == param
    assert len(answer.text) < 1000


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'"hi"', b"\xff\xfe", b'{"a": NaN}', b"<html>", b"[" * 100_000],
    ids=lambda body: repr(body[:12]),
)
@pytest.mark.parametrize("route", ["/chat/completions", "/jobs"])
def test_a_body_that_is_no_json_object(installation: Installation, route: str, body: bytes) -> None:
    answer = installation.http.post(route, content=body)
    assert answer.status_code == 400, answer.text
    told = answer.json()
    assert (told if route == "/jobs" else told["error"])["param"] == "body"


@pytest.mark.parametrize("declared", [True, False], ids=["content-length", "chunked"])
@pytest.mark.parametrize("route", ["/chat/completions", "/jobs"])
def test_a_body_over_the_limit(installation: Installation, route: str, declared: bool) -> None:
    pieces = [b'{"messages": "', *[b"x" * 1_000_000] * 11, b'"}']
    content = b"".join(pieces) if declared else iter(pieces)
    answer = installation.http.post(route, content=content)
    assert answer.status_code == 413, answer.text
    assert "10000000" in answer.text


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({"body": 5}, "body"),
        ({"body": None}, "body"),
        ({}, "body"),
        ({"body": CHAT | {"temperature": 9}}, "body.temperature"),
        ({"body": CHAT | {"model": 9}}, "body.model"),
        ({"body": {"model": "sim/sim"}}, "body.messages"),
        ({"body": CHAT, "endpoint": "/v1/poems"}, "endpoint"),
        ({"body": CHAT, "priority": "urgent"}, "priority"),
        ({"body": CHAT, "priority": 101}, "priority"),
        ({"body": CHAT, "priority": 1.5}, "priority"),
        ({"body": CHAT, "priority": "batch", "lane": "interactive"}, "priority"),
        ({"body": CHAT, "max_attempts": 0}, "max_attempts"),
        ({"body": CHAT, "max_attempts": 1000}, "max_attempts"),
        ({"body": CHAT, "max_attempts": "two"}, "max_attempts"),
        ({"body": CHAT, "max_cost": -1}, "max_cost"),
        ({"body": CHAT, "max_cost": 1e-9}, "max_cost"),
        ({"body": CHAT, "max_cost": "free"}, "max_cost"),
        ({"body": CHAT, "on_unknown": "panic"}, "on_unknown"),
        ({"body": CHAT, "not_before": "tomorrow"}, "not_before"),
        ({"body": CHAT, "not_before": -1}, "not_before"),
        ({"body": CHAT, "deadline": 1e15}, "deadline"),
        ({"body": CHAT, "deadline": 1e300}, "deadline"),
        ({"body": CHAT, "deadline": 1}, "deadline"),
        ({"body": CHAT, "deadline": 2030}, "deadline"),
        ({"body": CHAT, "metadata": {"a": 1}}, "metadata.a"),
        ({"body": CHAT, "metadata": {"a": "x" * 513}}, "metadata.a"),
        ({"body": CHAT, "metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"body": CHAT, "webhok": "http://x"}, "webhok"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_wrong_field_of_a_job_is_named(
    installation: Installation, wish: dict[str, Any], param: str
) -> None:
    answer = installation.http.post("/jobs", json=wish)
    check_problem(answer, 400)
    assert answer.json()["param"] == param


@pytest.mark.parametrize("value", ["wait=-1", "wait=x", "wait=nan", "wait=inf", "wait=1e99"])
def test_bad_prefer(installation: Installation, value: str) -> None:
    answer = installation.http.post("/chat/completions", json=CHAT, headers={"Prefer": value})
    check_envelope(answer, 400)
    assert answer.json()["error"]["param"] == "Prefer"


@pytest.mark.parametrize("key", ["", '""', "k" * 256])
@pytest.mark.parametrize("route", ["/chat/completions", "/jobs"])
def test_bad_idempotency_key(installation: Installation, route: str, key: str) -> None:
    answer = installation.http.post(route, json=CHAT, headers={"Idempotency-Key": key})
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.text


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("status=asleep", "status"),
    ],
)
def test_bad_query_of_the_list(installation: Installation, query: str, param: str) -> None:
    answer = installation.http.get(f"/jobs?{query}")
    check_problem(answer, 400)
    assert answer.json()["param"] == param


def test_a_compressed_body_is_told_to_come_as_it_is(installation: Installation) -> None:
    body = gzip.compress(b"{}")
    for path in ("/chat/completions", "/jobs", "/batches"):
        answer = installation.http.post(path, content=body, headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 415, answer.text
        assert "Content-Encoding: 'gzip'" in answer.text


def test_messages_of_a_comparison(installation: Installation) -> None:
    answer = installation.http.post("/compare", json={"models": ["a/b"], "messages": [USER]})
    check_problem(answer, 400)
    assert "`prompt`" in answer.json()["detail"]


def test_generation_without_its_id(installation: Installation) -> None:
    answer = installation.http.get("/generation")
    check_envelope(answer, 400)
    assert answer.json()["error"]["param"] == "id"


def test_unknown_generation(installation: Installation) -> None:
    check_envelope(installation.http.get("/generation?id=gen-none"), 404)


@pytest.mark.parametrize("job_id", ["job_none", "x", "%00", "job_' OR 1=1", "job_💥"])
@pytest.mark.parametrize("method", ["GET /", "GET /events", "POST /cancel"])
def test_unknown_job(installation: Installation, method: str, job_id: str) -> None:
    verb, _, rest = method.partition(" ")
    answer = installation.http.request(verb, f"/jobs/{job_id}{rest.rstrip('/')}")
    check_problem(answer, 404)


@pytest.mark.parametrize("path", ["/nothing", "/chat", "/chat/completions/x"])
def test_unknown_route(installation: Installation, path: str) -> None:
    check_envelope(installation.http.get(path), 404)


@pytest.mark.parametrize("path", ["/jobs/a/b/c", "/jobs/a/b"])
def test_unknown_own_route(installation: Installation, path: str) -> None:
    check_problem(installation.http.get(path), 404)


@pytest.mark.parametrize("prefix", ["/api/v1", "/v1"])
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/chat/completion", "/chat/completions is meant, perhaps"),
        ("/model", "/models is meant, perhaps"),
    ],
)
def test_a_path_that_is_elsewhere(
    installation: Installation, prefix: str, path: str, said: str
) -> None:
    answer = installation.http.post(
        f"{installation.url.removesuffix('/api/v1')}{prefix}{path}", json=CHAT
    )
    check_envelope(answer, 404)
    assert said in answer.json()["error"]["message"]


def test_wrong_method(installation: Installation) -> None:
    answer = installation.http.get("/chat/completions")
    check_envelope(answer, 405)
    assert answer.headers["allow"] == "POST"
    assert "use POST" in answer.json()["error"]["message"]
    jobs = installation.http.put("/jobs")
    check_problem(jobs, 405)
    assert set(jobs.headers["allow"].split(", ")) == {"GET", "POST"}
    check_problem(installation.http.put("/jobs/job_x"), 405)


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer"}, {"X-Api-Key": "k"}]
)
def test_no_key(installation: Installation, header: dict[str, str]) -> None:
    with httpx.Client(base_url=installation.url, headers=header) as client:
        refused = client.post("/chat/completions", json=CHAT)
        check_envelope(refused, 401)
        assert refused.headers["www-authenticate"] == "Bearer"
        check_problem(client.get("/jobs"), 401)


def check_envelope(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert error["code"] == status
    assert error["message"]
    assert error["metadata"]["error_type"]


def check_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert told["detail"]
    assert told["type"]
    assert told["title"]
