"""Text of callers is shown to operators as text, and written as text."""

import csv
import io

import pytest
from rich.console import Console

from broker.accounts import create_key
from cli.client.event_log import LogEvent
from cli.commands import submit
from cli.commands.batch.results import write_table
from cli.commands.compare import show
from cli.commands.jobs import render_event
from cli.output import Table, printable

EVIL = "a\nb\x1b[31mRED\x1b]0;pwn\x07\x9b[/red]"
SHOWN = r"a\nb\x1b[31mRED\x1b]0;pwn\x07\x9b[/red]"
USED = {"request_count": 1, "failure_count": 0, "prompt_tokens": 10, "completion_tokens": 9,
        "total_usage": -0.5}  # fmt: skip


def controls(text):
    return {char for char in text if not char.isprintable()} - {"\n"}


def test_a_table_can_neither_be_coloured_nor_broken():
    table = Table("name")
    table.add_row(EVIL)
    console = Console(width=120, record=True, file=io.StringIO(), force_terminal=True)
    console.print(table)
    assert SHOWN in console.export_text()


def test_line_ends_stay_where_lines_are_wanted():
    assert printable("a\n\tb\r\x1b é", lines=True) == "a\n\tb\\r\\x1b é"


def test_keys_are_listed_one_a_line_whatever_their_names(command, database):
    with database.transaction() as connection:
        create_key(connection, "ws_default", EVIL)
    said = command("keys", "list").stdout
    assert SHOWN in said
    assert controls(said) == set()


def test_usage_by_a_name_that_callers_chose(command, database, monkeypatch):
    monkeypatch.setattr("cli.commands.usage.sums.run_query", lambda *_: [{"user": EVIL, **USED}])
    said = command("usage", "--by", "user").stdout
    assert SHOWN in said
    assert controls(said) == set()


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+evil", "@x"])
def test_usage_as_csv_runs_nothing_in_a_spreadsheet(command, database, monkeypatch, name):
    monkeypatch.setattr("cli.commands.usage.sums.run_query", lambda *_: [{"app": name, **USED}])
    _, row = csv.reader(io.StringIO(command("usage", "--by", "app", "--csv").stdout))
    assert row == [f"'{name}", "1", "0", "10", "9", "-0.5"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_batchs_answers_run_nothing_in_a_spreadsheet(tmp_path, suffix):
    source, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    comma = "\t" if suffix == ".tsv" else ","
    source.write_text(f"custom_id{comma}n{comma}=head\nx{comma}-3.5{comma}+2 all\n")
    body = {"choices": [{"message": {"content": "=1+1"}}], "model": "m", "usage": {"cost": -0.0}}
    response = {"status_code": 200, "body": body}
    write_table(out, iter([{"custom_id": "x", "response": response, "error": None}]), source)
    with out.open(newline="") as file:
        header, row = csv.reader(file, delimiter=comma)
    assert header[:3] == ["custom_id", "n", "'=head"]
    assert row[:4] == ["x", "-3.5", "'+2 all", "'=1+1"]


def test_answers_and_errors_command_no_terminal():
    told = {"model": EVIL, "answer": "see\x1b[2J", "cost": None, "status": "completed"}
    console = Console(width=200, record=True, file=io.StringIO())
    show({"rows": [{"prompt": EVIL, "answers": [told]}], "models": []}, console)
    console.print(
        render_event(LogEvent(1, "retrying", {"attempt": 1, "outcome": "x", "message": EVIL}))
    )
    text = console.export_text()
    assert text.count(SHOWN) == 3
    assert r"see\x1b[2J" in text


def test_a_stream_commands_no_terminal(monkeypatch, capsys):
    chunk = LogEvent(1, "chunk", {"choices": [{"delta": {"content": f"two\nlines {EVIL}"}}]})
    told = [chunk, LogEvent(2, "completed", {})]
    monkeypatch.setattr(submit, "follow", lambda *_, **__: iter(told))
    submit._print_stream(None, "job_1", as_json=False)
    assert capsys.readouterr().out == "two\nlines " + SHOWN.replace(r"\n", "\n") + "\n"


@pytest.mark.parametrize("more", [{}, {"error_type": None, "message": None}])
def test_a_lost_worker_left_no_message(more):
    line = render_event(LogEvent(7, "retrying", {"attempt": 1, "outcome": "unknown", **more}))
    assert line.plain == "   7  retrying  attempt 1: unknown"
