"""`waybill batch`, as a person with a spreadsheet types it."""

import csv
import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.batching import jsonl, line
from tests.installation import KEY, REPOSITORY, Installation


def waybill(
    installation: Installation, *words: object, code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "batch", *map(str, words)],
        cwd=REPOSITORY,
        env=os.environ | {"WAYBILL_URL": installation.root, "WAYBILL_API_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done


def test_a_spreadsheet_there_and_back(installation: Installation, tmp_path: Path) -> None:
    source, output = tmp_path / "words.csv", tmp_path / "out.csv"
    source.write_text("text,language\nbread,French\nmilk,German\n")
    wish = ("-m", "sim/sim-echo", "--template", "Translate {text} into {language}")
    told = waybill(installation, "create", source, *wish, "--dry-run")
    assert '"valid": 2' in told.stdout or '"valid":2' in told.stdout
    wish = (*wish, "--set", "priority=5", "--set", "body.max_tokens=50")
    made = waybill(installation, "create", source, *wish, "--watch")
    batch_id = made.stdout.strip()
    assert "completed, 2/2, 0 failed" in made.stderr
    waybill(installation, "results", batch_id, "-o", output, "--input", source)
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["text"], row["answer"]) for row in rows] == [
        ("bread", "Translate bread into French"),
        ("milk", "Translate milk into German"),
    ]
    assert batch_id in waybill(installation, "list").stdout
    assert waybill(installation, "status", batch_id).stdout.startswith("completed, 2/2")


def test_what_failed_is_run_again(installation: Installation, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(jsonl([line("good"), line("bad", "sim-400")]))
    batch_id = waybill(installation, "create", source, "-w", code=1).stdout.strip()
    again = waybill(installation, "retry", batch_id, "-m", "sim/sim-echo", "-w")
    assert "completed, 1/1, 0 failed" in again.stderr
    refused = waybill(installation, "cancel", batch_id, code=1)
    assert "can no longer be cancelled" in refused.stderr


def test_a_bad_source_submits_nothing(installation: Installation, tmp_path: Path) -> None:
    source = tmp_path / "words.csv"
    source.write_text("text\nbread\n")
    told = waybill(installation, "create", source, "-m", "sim/sim-echo", code=1)
    assert "--template" in told.stderr
    assert "nothing was submitted" in told.stderr
    told = waybill(
        installation,
        "create",
        source,
        "-m",
        "x/y",
        "--template",
        "{text}",
        "--set",
        "priority=high",
        code=1,
    )
    assert "priority" in told.stderr
    waybill(installation, "status", "batch_nowhere", code=1)
