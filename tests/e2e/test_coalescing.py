"""Identical concurrent calls as one, end to end."""

from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.installation import Installation, chat

TOGETHER = 8


def test_identical_concurrent_calls_are_one_call_upstream(installation: Installation) -> None:
    # Given callers who ask the same at the same time, and say that one call will do
    prompt = "what everybody asks"
    body = chat("sim-lat1000", prompt)

    def ask(number: int) -> httpx.Response:
        # half of them by header, half in the body
        by_header = {"X-Coalesce": "true"} if number % 2 else {}
        asked = body if number % 2 else body | {"coalesce": True}
        return installation.http.post("/chat/completions", json=asked, headers=by_header)

    with ThreadPoolExecutor(TOGETHER) as callers:
        answers = list(callers.map(ask, range(TOGETHER)))
    # Then one call is made, all are answered, one pays
    assert {answer.status_code for answer in answers} == {200}, [each.text for each in answers]
    assert installation.calls(prompt)["matching"] == 1
    told = [answer.json() for answer in answers]
    assert len({each["choices"][0]["message"]["content"] for each in told}) == 1
    assert len({each["id"] for each in told}) == TOGETHER
    assert [each["usage"]["cost"] > 0 for each in told].count(True) == 1
    jobs = [answer.headers["X-Job-Id"] for answer in answers]
    [leader] = [job for job, each in zip(jobs, told, strict=True) if "coalesced_with" not in each]
    assert {each.get("coalesced_with") for each in told} == {None, leader}
    installation.audit(jobs)


def test_when_the_call_is_called_off_another_makes_it(installation: Installation) -> None:
    # Given two jobs that share a call
    prompt = "called off and asked again"
    first = installation.submit("sim-lat4000", prompt, coalesce=True)
    second = installation.submit("sim-lat4000", prompt, coalesce=True)
    installation.await_job(first, {"running"})
    assert installation.job(second)["coalesced_with"] == first
    # When the one that makes it is cancelled
    installation.http.post(f"/jobs/{first}/cancel")
    # Then the other makes the call by itself
    ended = installation.await_job(second)
    assert (ended["status"], ended["coalesced_with"]) == ("completed", None)
    assert ended["usage"]["cost"] > 0
    assert installation.job(first)["status"] == "cancelled"


def test_a_stream_is_not_shared(installation: Installation) -> None:
    answer = installation.http.post(
        "/chat/completions", json=chat("sim", "x", stream=True, coalesce=True)
    )
    assert answer.status_code == 400
    assert "coalesce" in answer.json()["error"]["message"]


def test_no_provider_is_sent_the_word(installation: Installation) -> None:
    prompt = "not for providers"
    installation.http.post("/chat/completions", json=chat("sim", prompt, coalesce=True))
    assert installation.calls(prompt)["matching"] == 1
    assert installation.calls('"coalesce"')["matching"] == 0
