"""`waybill run` as a command: what it says and how it exits."""

import pytest
from typer.testing import CliRunner

from cli.main import app


def invoke(*arguments, **env):
    return CliRunner().invoke(app, ["run", *map(str, arguments)], env=env)


def test_invalid_lines_are_named_before_anything_is_submitted(tmp_path):
    source = tmp_path / "p.jsonl"
    source.write_text('"fine"\n{"prompt": 5}\nnonsense\n')
    result = invoke(source, "-m", "m/m", "-o", tmp_path / "r.jsonl")
    assert result.exit_code == 1
    assert f"{source}, line 2: `prompt` must be" in result.stderr
    assert f"{source}, line 3: not JSON" in result.stderr
    assert 'a prompt is written as a JSON string, "…", one a line' in result.stderr
    assert "nothing was submitted" in result.stderr
    assert not (tmp_path / "r.jsonl").exists()


def test_no_server_is_one_line_after_the_patience(tmp_path):
    source = tmp_path / "p.jsonl"
    source.write_text('"fine"\n')
    result = invoke(
        *(source, "-m", "m/m", "-o", tmp_path / "r.jsonl", "--patience", "0.1"),
        WAYBILL_URL="http://127.0.0.1:9",
    )
    assert result.exit_code == 1
    assert "no Waybill at http://127.0.0.1:9: start one with `waybill up`" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_table_of_results_is_for_another_command(tmp_path):
    source = tmp_path / "p.jsonl"
    source.write_text('"fine"\n')
    result = invoke(source, "-m", "m/m", "-o", tmp_path / "r.csv")
    assert result.exit_code == 2
    assert "waybill batch results" in result.stderr


@pytest.mark.parametrize("cost", ["-1", "0", "inf", "nan"])
def test_a_cap_that_allows_nothing_is_refused_before_a_file_is_made(tmp_path, cost):
    source = tmp_path / "p.jsonl"
    source.write_text('"fine"\n')
    result = invoke(source, "-m", "m/m", "-o", tmp_path / "r.jsonl", f"--max-cost={cost}")
    assert result.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["p.jsonl"]


def test_a_format_that_is_not_written_is_refused(tmp_path):
    words = ["batch", "results", "batch_1", "-o", str(tmp_path / "a.xlsx")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert ".xlsx is none of .jsonl, .csv, .tsv, .parquet" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_is_not_there_leaves_no_file(tmp_path):
    words = ["batch", "results", "batch_1", "-o", str(tmp_path / "a.jsonl")]
    result = CliRunner().invoke(app, words, env={"WAYBILL_URL": "http://127.0.0.1:9"})
    assert result.exit_code == 1
    assert list(tmp_path.iterdir()) == []
