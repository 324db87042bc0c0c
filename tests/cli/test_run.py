"""Whole runs against a jobs API in memory: what is submitted, resumed, refused, waited for."""

import asyncio
import json
from collections import Counter

import httpx
import pytest

from cli.remote.patient import PatientClient
from cli.remote.server import Server, ServerError
from cli.run.file import parse
from cli.run.key import RunKey
from cli.run.lines import LineRunner, Pace, Refusal
from cli.run.results import Results, result_of_job


def lines(count, prompt="say {}"):
    return [parse(n, json.dumps(prompt.format(n)), "m/m") for n in range(1, count + 1)]


def go(waybill, tmp_path, todo, *, on_end=None, patience=5.0, told=None, in_flight=8):
    """Run lines as `waybill run` does; return what ended."""
    ended = []
    key = RunKey(tmp_path / "r.jsonl")
    key.open()

    def end(line, outcome):
        if on_end:
            on_end(line, outcome)
        ended.append((line, outcome))

    async def run():
        async with PatientClient(
            Server("http://w", "k"),
            patience=patience,
            on_away=(told if told is not None else []).append,
            transport=httpx.MockTransport(waybill),
        ) as http:
            await LineRunner(http, key, lane="batch", on_end=end).run(todo, in_flight)

    asyncio.run(run())
    return ended


def test_every_line_ends_once(waybill, tmp_path):
    ended = go(waybill, tmp_path, lines(30))
    assert Counter(line.number for line, _ in ended) == Counter(range(1, 31))
    assert all(
        job["response"]["choices"][0]["message"]["content"] == f"SAY {line.number}"
        for line, job in ended
    )
    assert len(waybill.jobs) == 30
    sent = json.loads(waybill.requests[0].content)
    assert sent["priority"] == "batch"
    assert sent["metadata"]["custom_id"] == "line-1"


def test_no_more_jobs_are_out_than_asked(waybill, tmp_path):
    most = 0

    def watch(_request):
        nonlocal most
        most = max(most, sum(job["status"] == "queued" for job in waybill.jobs.values()))

    waybill.before = watch
    waybill.looks_until_done = 2
    go(waybill, tmp_path, lines(9), in_flight=3)
    assert most <= 3


def test_a_run_killed_in_the_middle_goes_on_without_paying_twice(waybill, tmp_path):
    todo, path = lines(25), tmp_path / "r.jsonl"

    class KilledError(Exception):
        pass

    with Results(path) as results:

        def die_after_ten(line, job):
            if len(results.done) == 10:
                raise KilledError
            results.add(result_of_job(line, job))

        with pytest.raises(ExceptionGroup):
            go(waybill, tmp_path, todo, on_end=die_after_ten)
    with Results(path) as results:
        left = results.remaining(todo)
        assert len(left) == 15
        go(waybill, tmp_path, left, on_end=lambda line, job: results.add(result_of_job(line, job)))
    assert len(waybill.jobs) == 25
    written = [json.loads(text)["line"] for text in path.read_text().splitlines()]
    assert sorted(written) == list(range(1, 26))


def refuse_to_connect():
    raise httpx.ConnectError("down")


@pytest.mark.parametrize(
    "trouble",
    [
        refuse_to_connect,
        lambda: httpx.Response(503, json={"detail": "starting"}),
        lambda: httpx.Response(500, json={"detail": "broken"}),
        lambda: httpx.Response(429, json={"detail": "slow down"}, headers={"Retry-After": "0"}),
    ],
)
def test_an_absence_is_sat_out_and_told_once(waybill, tmp_path, failing_first, trouble):
    told = []
    waybill.before = failing_first(2, trouble)
    assert len(go(waybill, tmp_path, lines(2), told=told, in_flight=1)) == 2
    assert [bool(reason) for reason in told] == [True, False]


def test_late_looks_do_not_make_later_looks_late():
    pace = Pace()
    for _ in range(50):
        pace.ended({"attempts": [{"queued_ms": 100, "duration_ms": 400}]})
    assert 0.3 < pace.pause(0.0, 0) < 0.6
    assert pace.pause(8.0, 3) < 2.5
    assert pace.pause(1000.0, 9) <= 6.0


def test_patience_ends(waybill, tmp_path):
    waybill.before = lambda _: refuse_to_connect()
    with pytest.raises(ServerError, match="no Waybill at http://w: start one"):
        go(waybill, tmp_path, lines(3), patience=0.2)


def test_a_refused_line_does_not_stop_the_others(waybill, tmp_path):
    def refuse_two(request):
        if b"say 2" in request.content:
            return httpx.Response(404, json={"detail": "no such model"})
        return None

    waybill.before = refuse_two
    ended = {line.number: outcome for line, outcome in go(waybill, tmp_path, lines(3))}
    assert ended[2] == Refusal("no such model", 404)
    assert ended[1]["status"] == ended[3]["status"] == "completed"


@pytest.mark.parametrize("status", [401, 402])
def test_what_is_wrong_for_all_stops_the_run(waybill, tmp_path, status):
    waybill.before = lambda _: httpx.Response(status, json={"detail": "no credit"})
    with pytest.raises(ServerError, match="no credit"):
        go(waybill, tmp_path, lines(50))
    assert len(waybill.requests) < 50


def test_a_failed_job_becomes_a_result_with_its_error(waybill, tmp_path):
    [(line, job)] = go(waybill, tmp_path, lines(1, "FAIL {}"))
    result = result_of_job(line, job)
    assert (result["status"], result["error"]) == ("failed", {"message": "no luck"})
    assert "response" not in result
    assert {"custom_id", "line", "job_id", "model", "provider", "attempts", "cost"} < set(result)
