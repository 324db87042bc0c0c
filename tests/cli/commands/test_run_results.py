import json

import pytest

from broker.batches.prompt_files import Line
from cli.commands.run.results import Results, RunError, RunState, result_of


def line(number=1, prompt="a"):
    value = {"custom_id": f"line-{number}", "body": {"prompt": prompt}}
    return Line(number, f"line-{number}", json.dumps(value).encode() + b"\n")


def failed(number=1, prompt="a"):
    body = {"error": {"message": "no"}}
    response = {"status_code": 400, "request_id": None, "body": body}
    return result_of(line(number, prompt), {"response": response})


def test_what_is_done_is_not_left(tmp_path):
    path = tmp_path / "r.jsonl"
    with Results(path) as results:
        results.add(failed(2))
    with Results(path) as results:
        assert [each.number for each in results.remaining([line(1), line(2)])] == [1]


def test_a_line_that_a_crash_cut_off_is_forgotten(tmp_path):
    path = tmp_path / "r.jsonl"
    with Results(path) as results:
        results.add(failed(1))
        results.add(failed(2))
    path.write_bytes(path.read_bytes()[:-20])
    with Results(path) as results:
        assert list(results.done) == [1]
        results.add(failed(2))
    assert [json.loads(text)["line"] for text in path.read_text().splitlines()] == [1, 2]


def test_results_of_other_lines_are_not_taken_for_ours(tmp_path):
    with Results(tmp_path / "r.jsonl") as results:
        results.add(failed(1, "a"))
        with pytest.raises(RunError, match="line 1 is not the one"):
            results.remaining([line(1, "changed")])


def test_a_file_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "precious.txt"
    path.write_text("not ours\n")
    with pytest.raises(RunError, match="line 1, is no result"), Results(path):
        pass
    assert path.read_text() == "not ours\n"


def test_two_runs_do_not_write_one_file(tmp_path):
    path = tmp_path / "r.jsonl"
    with Results(path), pytest.raises(RunError, match="another `waybill run`"), Results(path):
        pass


def test_dropped_results_are_gone_from_the_file(tmp_path):
    path = tmp_path / "r.jsonl"
    with Results(path) as results:
        for number in (1, 2, 3):
            results.add(failed(number))
        results.drop([2])
        results.add(failed(2))
        with pytest.raises(RunError, match="another `waybill run`"), Results(path):
            pass
    assert [json.loads(text)["line"] for text in path.read_text().splitlines()] == [1, 3, 2]


def test_a_line_that_was_not_run_has_no_result():
    error = {"code": "batch_cancelled", "message": "not run"}
    assert result_of(line(), {"response": None, "error": error}) is None


def test_a_run_that_is_taken_up_again_has_the_same_parts(tmp_path):
    first = RunState(tmp_path / "r.jsonl")
    part = first.begin([line(1), line(2)], {"priority": 5})
    part.batch_id = "batch-1"
    first.save()
    again = RunState(tmp_path / "r.jsonl")
    assert again.parts == [part]
    assert again.parts[0].of({1: line(1), 2: line(2), 3: line(3)}) == [line(1), line(2)]


@pytest.mark.parametrize("now", [{1: line(1)}, {1: line(1), 2: line(2, "changed")}])
def test_a_part_is_not_of_another_input(tmp_path, now):
    part = RunState(tmp_path / "r.jsonl").begin([line(1), line(2)], {})
    with pytest.raises(RunError, match="the input is not the one"):
        part.of(now)


def test_each_part_has_a_key_of_its_own(tmp_path):
    state = RunState(tmp_path / "r.jsonl")
    assert state.begin([line(1)], {}).key != state.begin([line(1)], {}).key


@pytest.mark.parametrize("text", ["{", "{}", '{"parts": [{"run": "old"}]}'])
def test_a_state_of_something_else_is_left_alone(tmp_path, text):
    (tmp_path / "r.jsonl.run").write_text(text)
    with pytest.raises(RunError, match="delete it"):
        RunState(tmp_path / "r.jsonl")
