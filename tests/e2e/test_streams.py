"""Streams as `curl` and plain HTTP clients see them."""

import asyncio
import json
import subprocess
import time

import httpx
import pytest
from redis import Redis

from tests.e2e.sse import Frame, content, frames, read
from tests.installation import KEY, Installation, chat, until

LONG = "sim-tok97-chunk5"  # 97 tokens, 5 ms apart


def cut_stream(
    installation: Installation, native: str = LONG, most: int = 4000
) -> tuple[str, list[Frame]]:
    """Stream with `curl -N`, hang up in the middle; return the job and the frames that came."""
    command = [
        *("curl", "-sN", "-D-", "-H", f"Authorization: Bearer {KEY}"),
        *(
            f"{installation.url}/chat/completions",
            "-d",
            json.dumps(chat(native, "cut", stream=True)),
        ),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        received = b""
        while len(received) < most and (piece := curl.stdout.read(200)):
            received += piece
        curl.kill()
    head, _, body = received.decode().partition("\r\n\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:])
    whole = body[: body.rfind("\n\n") + 2]
    assert "[DONE]" not in whole, "it was not cut in the middle"
    return headers["x-job-id"].upper().replace("JOB_", "job_"), frames(whole)


def resume(
    installation: Installation, job_id: str, last: int, *, by_header: bool = True
) -> list[Frame]:
    url = f"/jobs/{job_id}/events" + ("" if by_header else f"?after={last}")
    headers = {"Last-Event-ID": str(last)} if by_header else {}
    answer = installation.http.get(url, headers=headers, timeout=20)
    assert answer.status_code == 200, answer.text
    return frames(answer.text)


def check_whole(installation: Installation, job_id: str, told: list[Frame]) -> None:
    """Nothing missing, nothing twice, and the text is the stored answer's."""
    numbers = [frame.number for frame in told]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert told[-1].name == "completed"
    answer = installation.job(job_id)["response"]["choices"][0]["message"]["content"]
    assert content(told) == answer
    assert len(answer) == 97 * 4


@pytest.mark.parametrize("by_header", [True, False], ids=["Last-Event-ID", "after"])
def test_a_cut_stream_goes_on_in_the_event_log(installation: Installation, by_header: bool) -> None:
    job_id, before = cut_stream(installation)
    rest = resume(installation, job_id, before[-1].number, by_header=by_header)
    check_whole(installation, job_id, before + rest)


def test_a_cut_stream_goes_on_after_its_end(installation: Installation) -> None:
    job_id, before = cut_stream(installation)
    installation.await_job(job_id)
    check_whole(installation, job_id, before + resume(installation, job_id, before[-1].number))


def test_a_stream_cut_twice_is_still_whole(installation: Installation) -> None:
    job_id, before = cut_stream(installation, most=2500)
    with installation.http.stream(
        "GET", f"/jobs/{job_id}/events", headers={"Last-Event-ID": str(before[-1].number)}
    ) as answer:
        reader = read(line + "\n" for line in answer.iter_lines())
        middle = [next(reader) for _ in range(10)]
    rest = resume(installation, job_id, middle[-1].number)
    check_whole(installation, job_id, before + middle + rest)


def test_two_readers_of_one_log_see_the_same(installation: Installation) -> None:
    job_id, before = cut_stream(installation)
    first = resume(installation, job_id, before[-1].number)
    assert resume(installation, job_id, before[-1].number) == first
    check_whole(installation, job_id, before + first)


def test_a_cut_stream_goes_on_without_its_copy_in_redis(installation: Installation) -> None:
    job_id, before = cut_stream(installation)
    installation.await_job(job_id)
    with Redis.from_url(installation.redis_url) as redis:
        assert redis.delete(f"waybill:events:{job_id}") == 1
    check_whole(installation, job_id, before + resume(installation, job_id, before[-1].number))


def past_the_end(installation: Installation, job_id: str, *, seconds: float = 10) -> httpx.Response:
    """Read a log as an EventSource does: come back after the last event until told to stop."""
    last, deadline = 0, time.monotonic() + seconds
    while True:
        answer = installation.http.get(
            f"/jobs/{job_id}/events", headers={"Last-Event-ID": str(last)}
        )
        if answer.status_code != 200:
            return answer
        last = frames(answer.text)[-1].number
        assert time.monotonic() < deadline, "the reader is never told to stop"


def ended_jobs(installation: Installation) -> dict[str, str]:
    """Return a job for each way in which a log ends."""
    cut, _ = cut_stream(installation)
    plain = installation.http.post("/chat/completions", json=chat("sim-echo", "log"))
    failed = installation.http.post("/chat/completions", json=chat("sim-errstream", stream=True))
    later = int(time.time()) + 3600
    waiting = installation.submit("sim-echo", body={"stream": True}, not_before=later)
    assert installation.http.post(f"/jobs/{waiting}/cancel").status_code == 200
    ids = {"completed": plain.headers["x-job-id"], "failed": failed.headers["x-job-id"]}
    return ids | {"streamed": cut, "cancelled": waiting}


def test_a_log_that_is_resumed_after_its_end_answers_204(installation: Installation) -> None:
    """The HTML standard has an EventSource come back after each end, until it gets a 204."""
    for name, job_id in ended_jobs(installation).items():
        installation.await_job(job_id)
        answer = past_the_end(installation, job_id)
        assert (answer.status_code, answer.content) == (204, b""), name
        assert answer.headers["x-job-id"] == job_id
        beyond = installation.http.get(f"/jobs/{job_id}/events", params={"after": 2_000_000_000})
        assert beyond.status_code == 204, name


def test_a_log_that_goes_on_is_not_ended_by_a_resumption(installation: Installation) -> None:
    job_id, before = cut_stream(installation, "sim-tok400-chunk50")
    with installation.http.stream(
        "GET", f"/jobs/{job_id}/events", headers={"Last-Event-ID": str(before[-1].number)}
    ) as answer:
        assert answer.status_code == 200
    installation.http.post(f"/jobs/{job_id}/cancel")


def test_the_log_of_a_plain_call_can_be_read_too(installation: Installation) -> None:
    answer = installation.http.post("/chat/completions", json=chat("sim-echo", "log"))
    told = resume(installation, answer.headers["x-job-id"], 0)
    assert [frame.name for frame in told] == ["started", "completed"]
    assert told[-1].json["response"] == answer.json()


async def test_200_streams_of_100_chunks_lose_nothing(installation: Installation) -> None:
    async with httpx.AsyncClient(
        base_url=installation.url, headers=installation.headers, timeout=60, limits=httpx.Limits()
    ) as client:
        answers = await asyncio.gather(*(_stream(client, number) for number in range(200)))
    for number, answer in enumerate(answers):
        told = frames(answer.text)
        assert told[-1].data == "[DONE]"
        text = content(told)
        assert text == (f"stream {number} " * 400)[:388], f"stream {number}"
        numbers = [frame.number for frame in told[:-2]]  # the chunk with the usage has none
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert len(numbers) >= 98


async def _stream(client: httpx.AsyncClient, number: int) -> httpx.Response:
    body = chat("sim-echo-tok97-chunk5", f"stream {number}", stream=True)
    answer = await client.post("/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer


def test_keep_alive_comments_have_a_single_newline(installation: Installation) -> None:
    body = chat("sim-lat2000", "patience", stream=True)
    text = installation.http.post("/chat/completions", json=body).text
    opening = text[: text.index("id:")]
    assert opening.count("\n") >= 3, "no keep-alive was sent"
    assert set(opening.removesuffix("\n").split("\n")) == {": WAYBILL PROCESSING"}
    assert frames(text)[-1].data == "[DONE]"


def test_error_before_the_first_token_is_plain_json(installation: Installation) -> None:
    answer = installation.http.post("/chat/completions", json=chat("sim-400", stream=True))
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["code"] == 400


@pytest.mark.parametrize("native", ["sim-errstream", "sim-cut"])
def test_error_in_the_stream_is_told_in_the_stream(installation: Installation, native: str) -> None:
    answer = installation.http.post("/chat/completions", json=chat(native, stream=True))
    assert answer.status_code == 200
    *told, error, done = frames(answer.text)
    assert done.data == "[DONE]"
    assert error.json["error"]["code"] >= 500
    assert error.json["error"]["message"]
    assert error.json["choices"][0]["finish_reason"] == "error"
    assert content(told), "the failure came before the first token"
    assert installation.await_job(answer.headers["x-job-id"])["status"] == "failed"


def test_hanging_up_does_not_cancel(installation: Installation) -> None:
    job_id, _ = cut_stream(installation)
    assert installation.await_job(job_id)["status"] == "completed"


def test_hanging_up_on_a_plain_call_does_not_cancel(installation: Installation) -> None:
    prompt = "hang up, go on"
    with pytest.raises(httpx.ReadTimeout):
        installation.http.post("/chat/completions", json=chat("sim-lat500", prompt), timeout=0.2)
    job_id = until(lambda: _running(installation, "sim/sim-lat500"), 5, "no job")
    assert installation.await_job(job_id)["status"] == "completed"
    assert installation.calls(prompt)["matching"] == 1


@pytest.mark.parametrize("stream", [False, True])
def test_hanging_up_cancels_when_asked_to(installation: Installation, stream: bool) -> None:
    abandoned = installation.calls()["abandoned"]
    body = chat("sim-lat20000", f"hang up, stop {stream}", stream=stream)
    headers = {"X-Cancel-On-Disconnect": "true"}
    with pytest.raises(httpx.ReadTimeout):
        installation.http.post("/chat/completions", json=body, headers=headers, timeout=0.3)
    job_id = until(lambda: _newest(installation, "sim/sim-lat20000"), 5, "no job")
    assert installation.await_job(job_id, seconds=10)["status"] == "cancelled"
    until(
        lambda: installation.calls()["abandoned"] > abandoned, 5, "the provider still works on it"
    )


def test_hanging_up_in_the_middle_of_a_stream_cancels_when_asked_to(
    installation: Installation,
) -> None:
    body = chat("sim-tok400-chunk50", "hang up in the middle", stream=True)
    headers = {"X-Cancel-On-Disconnect": "true"}
    with installation.http.stream(
        "POST", "/chat/completions", json=body, headers=headers
    ) as answer:
        job_id = answer.headers["x-job-id"]
        reader = read(line + "\n" for line in answer.iter_lines())
        assert len([next(reader) for _ in range(5)]) == 5
    assert installation.await_job(job_id, seconds=10)["status"] == "cancelled"


def _running(installation: Installation, model: str) -> str | None:
    job = _newest_job(installation, model)
    return job["id"] if job and job["status"] in {"queued", "running"} else None


def _newest(installation: Installation, model: str) -> str | None:
    job = _newest_job(installation, model)
    return job["id"] if job else None


def _newest_job(installation: Installation, model: str) -> dict[str, str] | None:
    jobs = installation.http.get("/jobs", params={"limit": 10}).json()["data"]
    return next((job for job in jobs if job["model"] == model), None)
