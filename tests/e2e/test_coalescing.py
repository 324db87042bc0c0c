"""Identical concurrent calls as one, end to end."""

from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.house import House, chat

TOGETHER = 8


def test_identical_concurrent_calls_are_one_call_upstream(house: House) -> None:
    # Given callers who ask the same at the same time, and say that one call will do
    prompt = "what everybody asks"
    body = chat("sim-lat1000", prompt)

    def ask(number: int) -> httpx.Response:
        # half of them by header, half in the body
        by_header = {"X-Coalesce": "true"} if number % 2 else {}
        asked = body if number % 2 else body | {"coalesce": True}
        return house.http.post("/chat/completions", json=asked, headers=by_header)

    with ThreadPoolExecutor(TOGETHER) as callers:
        answers = list(callers.map(ask, range(TOGETHER)))
    # Then one call is made, all are answered, one pays
    assert {answer.status_code for answer in answers} == {200}, [each.text for each in answers]
    assert house.calls(prompt)["matching"] == 1
    told = [answer.json() for answer in answers]
    assert len({each["choices"][0]["message"]["content"] for each in told}) == 1
    assert len({each["id"] for each in told}) == TOGETHER
    assert [each["usage"]["cost"] > 0 for each in told].count(True) == 1
    jobs = [answer.headers["X-Job-Id"] for answer in answers]
    [leader] = [job for job, each in zip(jobs, told, strict=True) if "coalesced_with" not in each]
    assert {each.get("coalesced_with") for each in told} == {None, leader}
    house.audit(jobs)


def test_when_the_call_is_called_off_another_makes_it(house: House) -> None:
    # Given two jobs that share a call
    prompt = "called off and asked again"
    first = house.submit("sim-lat4000", prompt, coalesce=True)
    second = house.submit("sim-lat4000", prompt, coalesce=True)
    house.await_job(first, {"running"})
    assert house.job(second)["coalesced_with"] == first
    # When the one that makes it is cancelled
    house.http.post(f"/jobs/{first}/cancel")
    # Then the other makes the call by itself
    ended = house.await_job(second)
    assert (ended["status"], ended["coalesced_with"]) == ("completed", None)
    assert ended["usage"]["cost"] > 0
    assert house.job(first)["status"] == "cancelled"


def test_a_stream_is_not_shared(house: House) -> None:
    answer = house.http.post("/chat/completions", json=chat("sim", "x", stream=True, coalesce=True))
    assert answer.status_code == 400
    assert "coalesce" in answer.json()["error"]["message"]


def test_no_provider_is_sent_the_word(house: House) -> None:
    prompt = "not for providers"
    house.http.post("/chat/completions", json=chat("sim", prompt, coalesce=True))
    assert house.calls(prompt)["matching"] == 1
    assert house.calls('"coalesce"')["matching"] == 0
