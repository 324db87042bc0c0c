"""`waybill workspaces export` and `forget`, directly on a database."""

import json
from dataclasses import replace

import pytest

from broker.accounts import find_workspace
from broker.billing import ledger
from broker.clock import now_ms
from broker.lifecycle import retention
from broker.storage.tables import AuditEntry
from tests.factories import (
    HOLD,
    balance,
    count,
    finished,
    job_row,
    make_principal,
    record,
    submit,
    submit_and_claim,
    write,
)

ANSWER = b'{"answer": "forty-two"}'
PROMPT = {"messages": [{"role": "user", "content": "the question of all questions"}]}


@pytest.fixture
def acme(database):
    """A workspace with an answered job that cost 300, and one that waits."""
    caller = make_principal(database, credit=10 * HOLD)
    done = submit_and_claim(database, caller, body=PROMPT)
    record(database, replace(finished(done, cost=300), response=ANSWER))
    return caller, done.id, submit(database, caller, body=PROMPT)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_everything_of_a_workspace_and_nothing_of_another_is_written(
    database, command, acme, tmp_path
):
    caller, done, waiting = acme
    submit(database, make_principal(database, name="other"), body=PROMPT)
    directory = tmp_path / "taken" / "along"
    result = command("workspaces", "export", "acme", str(directory))
    assert result.exit_code == 0, result.output
    assert f"{directory / 'jobs.jsonl'}: 2" in result.stdout
    jobs = {each["id"]: each for each in lines(directory / "jobs.jsonl")}
    assert jobs.keys() == {done, waiting}
    assert jobs[done]["request"]["messages"] == PROMPT["messages"]
    assert jobs[done]["response"] == json.loads(ANSWER)
    assert jobs[waiting]["status"] == "queued"
    [generation] = lines(directory / "generations.jsonl")
    assert (generation["job_id"], generation["cost_nanos"]) == (done, 300)
    # The ledger adds up to the balance
    entries = lines(directory / "ledger.jsonl")
    assert sum(each["amount_nanos"] for each in entries) == balance(database, caller.workspace_id)
    # And nobody else on the machine may look
    assert directory.stat().st_mode & 0o077 == 0


def test_more_than_a_page_is_written_once_each(database, command, monkeypatch, tmp_path):
    monkeypatch.setattr("broker.jobs.export.PAGE", 2)
    caller = make_principal(database)
    ids = [submit(database, caller) for _ in range(5)]
    assert command("workspaces", "export", caller.workspace_id, str(tmp_path)).exit_code == 0
    assert [each["id"] for each in lines(tmp_path / "jobs.jsonl")] == sorted(ids)


def test_nothing_is_forgotten_unless_it_is_meant(database, command, acme):
    caller, _, _ = acme
    result = command("workspaces", "forget", "acme", given="n\n")
    assert (result.exit_code, "Delete all prompts" in result.output) == (1, True)
    assert database.read_now(find_workspace, caller.workspace_id).settings is None
    assert count(database, AuditEntry) == 0


def test_what_is_forgotten_is_gone_from_the_export_and_the_books_stay(
    database, command, acme, tmp_path
):
    caller, done, waiting = acme
    before = balance(database, caller.workspace_id)
    assert command("workspaces", "forget", "acme", "--yes").exit_code == 0
    row = database.read_now(find_workspace, caller.workspace_id)
    wished = retention.read_settings(row)["forget_before"]
    assert abs(wished - now_ms()) < 60_000
    # As the running worker does it, a moment after the job's end
    end = job_row(database, done).ended_at
    write(database, retention.delete_old, row.id, max(wished, end), now_ms())
    command("workspaces", "export", "acme", str(tmp_path))
    jobs = {each["id"]: each for each in lines(tmp_path / "jobs.jsonl")}
    assert (jobs[done]["request"], jobs[done].get("response")) == (None, None)
    assert jobs[waiting]["request"]["messages"] == PROMPT["messages"]  # it has not ended
    assert [each["cost_nanos"] for each in lines(tmp_path / "generations.jsonl")] == [300]
    assert balance(database, caller.workspace_id) == before
    assert database.read_now(ledger.verify).flaws == []


@pytest.mark.parametrize("words", [("export", "nowhere", "x"), ("forget", "nowhere", "--yes")])
def test_a_workspace_that_is_not_there_is_said(database, command, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    result = command("workspaces", *words)
    assert (result.exit_code, "no workspace 'nowhere'" in result.stderr) == (1, True)
    assert not (tmp_path / "x").exists()


def test_a_directory_that_cannot_be_made_is_said(database, command, acme, tmp_path):
    (tmp_path / "file").touch()
    result = command("workspaces", "export", "acme", str(tmp_path / "file" / "in"))
    assert (result.exit_code, result.exception) == (1, result.exception)
    assert "file" in result.stderr
