"""A prompt that must not be kept is answered, and then nothing contains it."""

import httpx

from tests.installation import Installation, chat, until

SECRET = "the quince is under the stairs"


def kept(installation: Installation, job_id: str) -> str | None:
    return installation.ask("SELECT kept FROM jobs WHERE id = ?", job_id)[0].kept


def await_forgotten(installation: Installation, job_id: str) -> None:
    until(lambda: kept(installation, job_id) == "nothing", 20, "it is still there")
    for table, key in (("jobs", "id"), ("job_payloads", "job_id"), ("deliveries", "subject_id")):
        rows = installation.ask(f"SELECT * FROM {table} WHERE {key} = ?", job_id)
        assert not [row for row in rows if SECRET in str(row)]


def test_none_is_answered_and_then_forgotten_with_its_usage_kept(
    installation: Installation,
) -> None:
    answer = installation.http.post(
        "/chat/completions",
        json=chat("sim-echo", SECRET),
        headers={
            "X-Store": "none",
            "Idempotency-Key": "quince",
            "X-OpenRouter-Metadata": "enabled",
        },
    )
    assert answer.json()["choices"][0]["message"]["content"] == SECRET
    job_id = answer.headers["X-Job-Id"]
    await_forgotten(installation, job_id)
    job = installation.http.get(f"/jobs/{job_id}").json()
    assert (job["status"], job["response"], job["store"]) == ("completed", None, "none")
    assert job["usage"]["cost"] == answer.json()["usage"]["cost"]
    shown = installation.http.get("/generation", params={"id": answer.json()["id"]}).json()["data"]
    assert shown["total_cost"] == answer.json()["usage"]["cost"]
    # the same key again: neither a second call nor an answer out of nothing
    again = installation.http.post(
        "/chat/completions",
        json=chat("sim-echo", SECRET),
        headers={"X-Store": "none", "Idempotency-Key": "quince"},
    )
    assert again.status_code == 410


def test_a_stream_that_is_not_kept_leaves_nothing_behind(installation: Installation) -> None:
    with httpx.Client(headers=installation.headers, timeout=60) as http, http.stream(
        "POST", f"{installation.url}/chat/completions", headers={"X-Store": "none"},
        json={**chat("sim-echo", SECRET), "stream": True},
    ) as answer:  # fmt: skip
        text = answer.read().decode()
        job_id = answer.headers["X-Job-Id"]
    assert "[DONE]" in text
    await_forgotten(installation, job_id)
    again = installation.http.get(f"/jobs/{job_id}/events").text
    assert "completed" in again
    assert "quince" not in again


def test_a_job_for_later_is_kept_until_it_is_fetched(installation: Installation) -> None:
    job_id = installation.submit("sim-echo", SECRET, store="none")
    until(lambda: kept(installation, job_id) == "result", 20, "the prompt is still there")
    first = installation.http.get(f"/jobs/{job_id}").json()
    assert first["response"]["choices"][0]["message"]["content"] == SECRET
    await_forgotten(installation, job_id)


def test_result_only_keeps_the_answer(installation: Installation) -> None:
    body = chat("sim-echo", "keep the answer") | {"store": False}
    answer = installation.http.post("/chat/completions", json=body)
    job_id = answer.headers["X-Job-Id"]
    until(lambda: kept(installation, job_id) == "result", 20, "the prompt is still there")
    content = installation.http.get(
        "/generation/content", params={"id": answer.json()["id"]}
    ).json()["data"]
    assert content["input"] is None
    assert content["output"]["completion"] == "keep the answer"
