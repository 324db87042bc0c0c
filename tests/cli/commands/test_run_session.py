"""Whole runs against a batches API in memory: what is asked, resumed, refused, run anew."""

import io
import json

import httpx
import pytest
from rich.console import Console

from broker.batches import options
from broker.batches.prompt_files import LineDefaults, lines
from cli.client import retrying
from cli.client.retrying import RetryingClient
from cli.client.server import Server, ServerError
from cli.commands.batch import progress
from cli.commands.run import session
from cli.commands.run.results import Results, RunError
from cli.commands.run.session import RunOptions, RunSession


class KilledError(BaseException):
    """The process ends here, whatever it was about to do."""


@pytest.fixture(autouse=True)
def no_rest(monkeypatch):
    monkeypatch.setattr(progress, "MIN_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(retrying, "FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "p.jsonl", [f"say {n}" for n in range(1, 26)])


@pytest.fixture
def go(waybill, tmp_path):
    """Run a source as `waybill run` does; return its sitting."""

    def run(source, *, retry_failed=False, patience=5.0, **wish):
        client = RetryingClient(
            Server("http://w", "k"), timeout=patience, transport=httpx.MockTransport(waybill)
        )
        found = list(lines(source, LineDefaults("m/m")))
        terms = RunOptions(wish, retry_failed=retry_failed)
        with Results(tmp_path / "r.jsonl") as results:
            sat = RunSession(client, found, results, terms, Console(file=io.StringIO()))
            sat.perform()
            return sat

    return run


def write(path, prompts):
    path.write_text("".join(f"{json.dumps(each)}\n" for each in prompts))
    return path


def written(tmp_path):
    return [json.loads(text) for text in (tmp_path / "r.jsonl").read_text().splitlines()]


def numbers(tmp_path):
    return [result["line"] for result in written(tmp_path)]


def dies_at(waybill, times, when=lambda request: True):
    """Let the client die after the server did what it was asked, at the n-th such request."""
    seen = []

    def after(request):
        if when(request):
            seen.append(request)
            if len(seen) == times:
                raise KilledError

    waybill.after = after


def creates(request):
    return request.url.path.endswith("/batches")


def test_every_line_is_asked_once_and_its_result_written_while_the_batch_runs(
    waybill, go, source, tmp_path
):
    on_disk = []
    waybill.before = lambda _: on_disk.append(
        len(numbers(tmp_path)) if (tmp_path / "r.jsonl").exists() else 0
    )
    tally = go(source, max_cost=7.5).tally
    assert sorted(numbers(tmp_path)) == list(range(1, 26))
    assert on_disk == [0, 0, 0, 10, 20, 20]  # upload, create, three looks, and the file
    assert (tally.done, tally.failed, tally.cost) == (25, 0, 12.5)
    (batch,) = waybill.batches.values()
    assert (batch.asked["max_cost"], len(batch.lines)) == (7.5, 25)
    assert written(tmp_path)[0] == {
        "custom_id": "line-1",
        "line": 1,
        "input": written(tmp_path)[0]["input"],
        "job_id": "job-0",
        "status": "completed",
        "response": {
            "model": "m/m",
            "usage": {"cost": 0.5},
            "choices": [{"message": {"content": "SAY 1"}}],
        },
        "model": "m/m",
        "provider": None,
        "cost": 0.5,
    }


@pytest.mark.parametrize("request_number", [1, 2, 3, 4, 5])
def test_a_run_killed_anywhere_goes_on_without_asking_twice(
    waybill, go, source, tmp_path, request_number
):
    # Given a client that dies once the server has the file, the batch, or was looked at
    dies_at(waybill, request_number)
    with pytest.raises(KilledError):
        go(source)
    # When the same command is given again
    waybill.after = lambda _: None
    go(source)
    # Then one batch was made, and each line is there once
    assert len(waybill.batches) == 1
    assert sorted(numbers(tmp_path)) == list(range(1, 26))


def test_a_run_that_is_done_asks_the_server_nothing(waybill, go, source):
    go(source)
    waybill.requests.clear()
    assert go(source).tally.done == 0
    assert waybill.requests == []


def test_results_that_were_deleted_are_fetched_again(waybill, go, source, tmp_path):
    go(source)
    (tmp_path / "r.jsonl").unlink()
    go(source)
    assert len(waybill.batches) == 1
    assert sorted(numbers(tmp_path)) == list(range(1, 26))


def test_only_what_failed_is_run_anew(waybill, go, tmp_path):
    source = write(tmp_path / "p.jsonl", ["fine", "FAIL a", "well", "FAIL b"])
    assert go(source).tally.reasons == {"no luck": 2}
    assert go(source).tally.done == 0
    assert go(source, retry_failed=True).tally.failed == 2
    assert waybill.asked == ["fine", "FAIL a", "well", "FAIL b", "FAIL a", "FAIL b"]
    assert sorted(numbers(tmp_path)) == [1, 2, 3, 4]
    failed = written(tmp_path)[-1]
    assert (failed["status"], failed["error"]) == ("failed", {"message": "no luck"})
    assert "response" not in failed


def test_a_retry_killed_as_it_began_is_taken_up(waybill, go, tmp_path):
    source = write(tmp_path / "p.jsonl", ["fine", "FAIL a"])
    go(source)
    dies_at(waybill, 1, creates)
    with pytest.raises(KilledError):
        go(source, retry_failed=True)
    waybill.after = lambda _: None
    go(source)
    assert waybill.asked == ["fine", "FAIL a", "FAIL a"]
    assert numbers(tmp_path) == [1, 2]


def test_lines_that_a_stopped_batch_did_not_run_are_run_by_the_next_one(
    waybill, go, source, tmp_path
):
    waybill.stop_after = 7
    go(source)
    assert numbers(tmp_path) == list(range(1, 8))
    waybill.stop_after = None
    go(source)
    assert sorted(numbers(tmp_path)) == list(range(1, 26))
    assert waybill.asked == [f"say {n}" for n in [*range(1, 26), *range(8, 26)]]


def test_lines_added_to_the_input_are_run(waybill, go, tmp_path):
    source = write(tmp_path / "p.jsonl", ["a", "b"])
    go(source)
    go(write(source, ["a", "b", "c"]))
    assert waybill.asked == ["a", "b", "c"]


@pytest.mark.parametrize("dies", [2, 3])  # after nothing was written, and after some was
def test_an_input_that_changed_under_a_running_batch_is_refused(
    waybill, go, source, tmp_path, dies
):
    dies_at(waybill, dies)
    waybill.lines_per_look = 5
    with pytest.raises(KilledError):
        go(source)
    write(source, ["other"] * 25)
    waybill.after = lambda _: None
    with pytest.raises(RunError, match="choose another -o"):
        go(source)
    assert len(waybill.batches) == 1


def test_more_lines_than_a_batch_takes_are_several_batches(waybill, go, source, monkeypatch):
    monkeypatch.setattr(options, "MAX_LINES", 10)
    go(source)
    assert [len(each.lines) for each in waybill.batches.values()] == [10, 10, 5]
    monkeypatch.setattr(options, "MAX_BYTES", 1)
    assert len(session._fit_into_batch(list(lines(source, LineDefaults("m/m"))))) == 1


def test_what_the_server_refuses_is_not_asked_again_as_it_was(waybill, go, source):
    waybill.before = lambda request: (
        httpx.Response(400, json={"detail": "priority: no"}) if creates(request) else None
    )
    with pytest.raises(ServerError, match="priority: no"):
        go(source, priority="high")
    waybill.before = lambda _: None
    go(source, priority=5)
    (batch,) = waybill.batches.values()
    assert batch.asked["priority"] == 5


def test_a_batch_that_is_gone_is_not_asked_again_by_itself(waybill, go, source):
    dies_at(waybill, 3)
    with pytest.raises(KilledError):
        go(source)
    waybill.after = lambda _: None
    waybill.before = lambda _: httpx.Response(404, json={"detail": "There is no batch."})
    with pytest.raises(RunError, match=r"batch-0 .* delete .*r\.jsonl\.run"):
        go(source)


def test_an_absence_in_the_middle_is_sat_out(waybill, go, source, tmp_path, failing_first):
    trouble = failing_first(2, lambda: httpx.Response(503, json={"detail": "starting"}))
    waybill.before = lambda request: None if request.method == "POST" else trouble(request)
    go(source)
    assert len(numbers(tmp_path)) == 25


def test_a_run_that_is_refused_leaves_nothing(go, source, waybill, tmp_path):
    def refusing(request):
        if request.url.path.endswith("/batches"):
            return httpx.Response(400, json={"error": {"message": "nope: there is no such field"}})
        return None

    waybill.before = refusing
    with pytest.raises(ServerError, match="no such field"):
        go(source, nope=1)
    assert [path.name for path in tmp_path.iterdir()] == ["p.jsonl"]
