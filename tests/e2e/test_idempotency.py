"""The same key asks for the same job: however often, and whatever became of the first call."""

import asyncio

import httpx
import pytest

from tests.e2e.sse import content, frames
from tests.installation import Installation, chat


def post(
    installation: Installation, key: str, body: dict[str, object], **headers: str
) -> httpx.Response:
    return installation.http.post(
        "/chat/completions", json=body, headers={"Idempotency-Key": key, **headers}
    )


def test_the_same_body_gets_the_same_answer(installation: Installation) -> None:
    body = chat("sim-echo", "asked twice")
    first, second = post(installation, "twice", body), post(installation, '"twice"', body)
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert first.headers["x-job-id"] == second.headers["x-job-id"]
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert installation.calls("asked twice")["matching"] == 1
    installation.audit([first.headers["x-job-id"]])


def test_another_body_is_refused(installation: Installation) -> None:
    assert post(installation, "mismatch", chat("sim-echo", "one")).status_code == 200
    refused = post(installation, "mismatch", chat("sim-echo", "other"))
    assert refused.status_code == 422
    assert refused.json()["error"]["param"] == "Idempotency-Key"
    assert installation.calls('"other"')["matching"] == 0


def test_other_options_are_another_request(installation: Installation) -> None:
    asked = {"body": chat("sim-echo", "options")}
    headers = {"Idempotency-Key": "options"}
    assert installation.http.post("/jobs", json=asked, headers=headers).status_code == 202
    again = installation.http.post("/jobs", json=asked, headers=headers)
    other = installation.http.post("/jobs", json=asked | {"on_unknown": "fail"}, headers=headers)
    assert again.headers["idempotent-replayed"] == "true"
    assert other.status_code == 422


def test_a_second_call_waits_for_the_first(installation: Installation) -> None:
    body = chat("sim-lat1000", "wait for me")
    accepted = post(installation, "waits", body, Prefer="respond-async")
    answer = post(installation, "waits", body)
    assert accepted.status_code == 202
    assert answer.status_code == 200
    assert answer.headers["x-job-id"] == accepted.headers["x-job-id"]
    assert installation.calls("wait for me")["matching"] == 1


def test_a_failure_is_replayed_too(installation: Installation) -> None:
    body = chat("sim-400", "fails once")
    first, second = post(installation, "fails", body), post(installation, "fails", body)
    assert first.status_code == second.status_code == 400
    assert first.json() == second.json()
    assert installation.calls("fails once")["matching"] == 1


def test_a_stream_is_replayed_whole(installation: Installation) -> None:
    body = chat("sim-tok97-chunk5", "stream twice", stream=True)
    first, second = post(installation, "stream", body), post(installation, "stream", body)
    assert content(frames(first.text)) == content(frames(second.text))
    assert len(content(frames(second.text))) == 97 * 4
    assert frames(second.text)[-1].data == "[DONE]"
    assert installation.calls("stream twice")["matching"] == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_20_calls_at_once_are_one_job(installation: Installation, stream: bool) -> None:
    prompt = f"twenty at once, stream {stream}"
    body = chat("sim-tok97-chunk5", prompt, stream=stream)
    async with httpx.AsyncClient(
        base_url=installation.url, headers=installation.headers, timeout=30
    ) as client:
        answers = await asyncio.gather(
            *(
                client.post("/chat/completions", json=body, headers={"Idempotency-Key": prompt})
                for _ in range(20)
            )
        )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["x-job-id"] for answer in answers}) == 1
    if stream:
        assert {len(content(frames(answer.text))) for answer in answers} == {97 * 4}
    else:
        assert len({answer.text for answer in answers}) == 1
    assert installation.calls(prompt)["matching"] == 1
    installation.audit([answers[0].headers["x-job-id"]])


def test_jobs_know_the_key_too(installation: Installation) -> None:
    headers = {"Idempotency-Key": "of a job"}
    body = {"body": chat("sim-echo", "job twice")}
    first = installation.http.post("/jobs", json=body, headers=headers).json()
    second = installation.http.post("/jobs", json=body, headers=headers).json()
    assert first["id"] == second["id"]
    other = installation.http.post("/jobs", json={"body": chat("sim-words")}, headers=headers)
    assert other.status_code == 422
    assert other.headers["content-type"] == "application/problem+json"


def test_the_same_body_in_another_dialect_is_another_request(installation: Installation) -> None:
    body = chat("sim-echo", "in two dialects", max_tokens=9)
    headers = {"Idempotency-Key": "two dialects"}
    first, again = (
        installation.http.post("/messages", json=body, headers=headers) for _ in range(2)
    )
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert post(installation, "two dialects", body).status_code == 422
    assert installation.calls("in two dialects")["matching"] == 1
