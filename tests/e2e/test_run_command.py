"""`waybill run` against a whole installation: stopped, killed, and carried on."""

import json
import signal
from pathlib import Path

import pytest

from tests.e2e.batching import look
from tests.e2e.running import batch_of, start, written
from tests.installation import Installation, until

SLOW = "sim/sim-lat8000"


def run(installation: Installation, source: Path, *words: str, code: int = 0) -> str:
    process = start(installation, source, *words)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    return said


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_its_batch_running_and_carries_on(
    installation: Installation, tmp_path: Path, blow: signal.Signals
) -> None:
    # Given a run of which some results are there, while others take their time
    source, word = tmp_path / "p.jsonl", f"stopped by {blow.name}"
    lines = [{"custom_id": f"n{n}", "prompt": f"{word} {n}"} for n in range(8)]
    slow = [{"custom_id": f"s{n}", "prompt": f"{word} s{n}", "model": SLOW} for n in range(4)]
    source.write_text("\n".join(map(json.dumps, [*slow, *lines])))
    process = start(installation, source)
    until(lambda: len(written(source)) == 8, 20, "no results come while it runs")
    # When it is stopped
    process.send_signal(blow)
    _, said = process.communicate(timeout=20)
    batch_id = batch_of(source)
    if blow == signal.SIGINT:
        assert process.returncode == 130
        assert f"{batch_id} continues: the same command fetches its results" in said
    assert look(installation, batch_id, results="false")["status"] == "in_progress"
    # Then the same command fetches the rest, and nothing was asked twice
    assert "12 of 12 lines have an answer; 4 ended now" in run(installation, source)
    assert written(source)["s3"]["model"] == SLOW
    assert all(each["status"] == "completed" and each["cost"] for each in written(source).values())
    assert installation.calls(word)["matching"] == 12


def test_a_table_is_run_and_only_what_failed_is_run_anew(
    installation: Installation, tmp_path: Path
) -> None:
    source = tmp_path / "words.csv"
    source.write_text("text\nrun as a table\nrun as another\n")
    wish = ("--template", "Say {text}", "--set", "body.max_tokens=50")
    run(installation, source, *wish)
    answers = [each["response"]["choices"] for each in written(source).values()]
    assert [each[0]["message"]["content"] for each in answers] == [
        "Say run as a table",
        "Say run as another",
    ]
    source = tmp_path / "p.jsonl"
    bad = {"custom_id": "bad", "prompt": "a line that fails", "model": "sim/sim-400"}
    source.write_text(f'"a line that is answered"\n{json.dumps(bad)}\n')
    said = run(installation, source, code=1)
    assert "1 lines failed: --retry-failed runs them again" in said
    assert written(source)["bad"]["error"]["code"] == 400
    run(installation, source, "--retry-failed", code=1)
    assert installation.calls("a line that fails")["matching"] == 2
    assert installation.calls("a line that is answered")["matching"] == 1
