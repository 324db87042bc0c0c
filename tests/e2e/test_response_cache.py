"""`X-OpenRouter-Cache` as its callers see it."""

import uuid

import pytest

from tests.installation import Installation, chat

CACHE = {"X-OpenRouter-Cache": "true"}


def ask(installation: Installation, body: dict, **more: str):
    headers = CACHE | {f"X-OpenRouter-Cache-{name}": value for name, value in more.items()}
    answer = installation.http.post("/chat/completions", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def fresh(**more) -> dict:
    return chat("sim-echo", f"remember {uuid.uuid4()}", **more)


def test_the_second_answer_is_free(installation: Installation) -> None:
    body = fresh()
    first, second = ask(installation, body), ask(installation, body)
    assert first.headers["x-openrouter-cache-status"] == "MISS"
    assert second.headers["x-openrouter-cache-status"] == "HIT"
    assert second.headers["x-openrouter-cache-source-id"] == first.json()["id"]
    assert second.headers["x-openrouter-cache-ttl"] == "300"
    assert second.json()["choices"] == first.json()["choices"]
    assert second.json()["id"] != first.json()["id"]
    assert second.json()["usage"]["cost"] == second.json()["usage"]["total_tokens"] == 0
    assert installation.calls(body["messages"][0]["content"])["matching"] == 1
    # the hit is a job and a generation like all others
    generation = installation.http.get("/generation", params={"id": second.json()["id"]}).json()[
        "data"
    ]
    assert generation["total_cost"] == 0
    job = installation.job(second.headers["x-job-id"])
    assert job["status"] == "completed"
    installation.audit([job["id"]])


def test_a_stream_is_replayed(installation: Installation) -> None:
    body = fresh(stream=True)
    first, second = ask(installation, body), ask(installation, body)
    assert second.headers["x-openrouter-cache-status"] == "HIT"
    assert second.text.count("data: ") == first.text.count("data: ")
    assert "[DONE]" in second.text
    assert second.headers["x-generation-id"] in second.text
    assert first.headers["x-generation-id"] not in second.text
    assert '"cost":0' in second.text


def test_what_differs_misses(installation: Installation) -> None:
    body = fresh()
    ask(installation, body)
    for other in (body | {"temperature": 1}, body | {"stream": True}):
        assert ask(installation, other).headers["x-openrouter-cache-status"] == "MISS"
    reordered = dict(reversed(body.items()))
    assert ask(installation, reordered).headers["x-openrouter-cache-status"] == "HIT"
    assert ask(installation, body, Clear="true").headers["x-openrouter-cache-status"] == "MISS"
    plain = installation.http.post("/chat/completions", json=body)
    assert "x-openrouter-cache-status" not in plain.headers


def test_errors_are_not_kept(installation: Installation) -> None:
    body = chat("sim-400", str(uuid.uuid4()))
    for _ in range(2):
        answer = installation.http.post("/chat/completions", json=body, headers=CACHE)
        assert answer.status_code == 400
        assert answer.headers["x-openrouter-cache-status"] == "MISS"


@pytest.mark.parametrize(
    "wrong",
    [{"X-OpenRouter-Cache": "perhaps"}, CACHE | {"X-OpenRouter-Cache-TTL": "86401"}],
)
def test_a_header_that_cannot_be_is_refused(installation: Installation, wrong: dict) -> None:
    answer = installation.http.post("/chat/completions", json=fresh(), headers=wrong)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith("X-OpenRouter-Cache")
