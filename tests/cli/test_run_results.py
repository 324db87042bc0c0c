import json

import pytest

from cli.run.file import parse
from cli.run.key import RunKey
from cli.run.results import Results, ResultsError, result_of_refusal


def line(number=1, prompt="a"):
    return parse(number, json.dumps(prompt), "m/m")


def refused(number=1, prompt="a"):
    return result_of_refusal(line(number, prompt), "no", 400)


def test_what_is_done_is_not_left(tmp_path):
    path = tmp_path / "r.jsonl"
    with Results(path) as results:
        results.add(refused(2))
    with Results(path) as results:
        assert [each.number for each in results.remaining([line(1), line(2)])] == [1]


def test_a_line_that_a_crash_cut_off_is_forgotten(tmp_path):
    path = tmp_path / "r.jsonl"
    with Results(path) as results:
        results.add(refused(1))
        results.add(refused(2))
    path.write_bytes(path.read_bytes()[:-20])
    with Results(path) as results:
        assert list(results.done) == [1]
        results.add(refused(2))
    assert [json.loads(text)["line"] for text in path.read_text().splitlines()] == [1, 2]


def test_results_of_other_lines_are_not_taken_for_ours(tmp_path):
    with Results(tmp_path / "r.jsonl") as results:
        results.add(refused(1, "a"))
        with pytest.raises(ResultsError, match="line 1 is not the one"):
            results.remaining([line(1, "changed")])


def test_a_file_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "precious.txt"
    path.write_text("not ours\n")
    with pytest.raises(ResultsError, match="line 1, is no result"), Results(path):
        pass
    assert path.read_text() == "not ours\n"


def test_two_runs_do_not_write_one_file(tmp_path):
    path = tmp_path / "r.jsonl"
    with Results(path), pytest.raises(ResultsError, match="another `waybill run`"), Results(path):
        pass


def test_dropped_results_are_gone_from_the_file(tmp_path):
    path = tmp_path / "r.jsonl"
    with Results(path) as results:
        for number in (1, 2, 3):
            results.add(refused(number))
        results.drop([2])
        results.add(refused(2))
    assert [json.loads(text)["line"] for text in path.read_text().splitlines()] == [1, 3, 2]


def test_a_run_that_is_taken_up_again_has_the_same_keys(tmp_path):
    first, second = RunKey(tmp_path / "r.jsonl"), RunKey(tmp_path / "r.jsonl")
    assert first.open() is False
    assert second.open() is True
    assert first.of(line()) == second.of(line())


def test_keys_differ_by_run_line_content_and_output(tmp_path):
    one, other = RunKey(tmp_path / "r.jsonl"), RunKey(tmp_path / "s.jsonl")
    one.open()
    other.open()
    keys = {one.of(line()), one.of(line(2)), one.of(line(1, "b")), other.of(line())}
    assert len(keys) == 4
    other.id = one.id
    assert other.of(line()) != one.of(line())


def test_asking_anew_changes_the_key_of_that_line_only(tmp_path):
    key = RunKey(tmp_path / "r.jsonl")
    key.open()
    before = key.of(line(1)), key.of(line(2))
    key.ask_anew([2])
    again = RunKey(tmp_path / "r.jsonl")
    again.open()
    assert again.of(line(1)) == before[0]
    assert again.of(line(2)) != before[1]
