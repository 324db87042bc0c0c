"""One question, several models: as jobs, as a table, as CSV, on the command line."""

import csv
import io
import json
import subprocess
import sys

import pytest

from tests.installation import KEY, REPOSITORY, Installation, until

MODELS = ["sim/sim-echo", "sim/sim-words", "sim/sim-400"]


def ask(installation: Installation, **body):
    return installation.http.post("/compare", json=body)


def awaited(installation: Installation, comparison_id: str) -> dict:
    def full():
        table = installation.http.get(f"/compare/{comparison_id}").json()
        return table if table["status"] == "completed" else None

    return until(full, 30, installation.log)


def waybill(installation: Installation, *arguments: str) -> subprocess.CompletedProcess:
    environment = installation.environment | {
        "WAYBILL_URL": installation.root,
        "WAYBILL_API_KEY": KEY,
    }
    return subprocess.run(
        [sys.executable, "-m", "cli", "compare", *arguments],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_model_answers_every_prompt(installation: Installation) -> None:
    prompts = ["one two three", "four five"]
    made = ask(installation, models=MODELS, prompts=prompts, metadata={"study": "1"})
    assert made.status_code == 202, made.text
    assert made.headers["location"] == made.json()["urls"]["self"]
    table = awaited(installation, made.json()["id"])
    assert [row["prompt"] for row in table["rows"]] == prompts
    for row in table["rows"]:
        echo, words, refused = row["answers"]
        assert (echo["model"], echo["answer"]) == (MODELS[0], row["prompt"])
        assert words["answer"] == f"Your prompt has {len(row['prompt'].split())} words."
        assert echo["cost"] > 0
        assert echo["latency_ms"] >= 0
        assert echo["prompt_tokens"] > 0
        assert (refused["status"], refused["cost"]) == ("failed", None)
        assert refused["error"]["http_status"] == 400
    assert [(each["completed"], each["failed"]) for each in table["models"]] == [
        (2, 0),
        (2, 0),
        (0, 2),
    ]
    job = installation.job(table["rows"][0]["answers"][0]["job_id"])
    assert job["metadata"] == {"study": "1"}


def test_the_table_as_csv(installation: Installation) -> None:
    made = ask(installation, models=MODELS[:2], prompt='="hi", please\nnow').json()
    awaited(installation, made["id"])
    for asked in (
        {"params": {"format": "csv"}},
        {"headers": {"Accept": "text/csv"}},
    ):
        answer = installation.http.get(f"/compare/{made['id']}", **asked)
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["model"] for row in rows] == MODELS[:2]
        # what a spreadsheet would run is text
        assert rows[0]["answer"] == rows[0]["prompt"] == '\'="hi", please\nnow'
        assert float(rows[0]["cost"]) > 0


def test_the_same_key_gives_the_same_comparison(installation: Installation) -> None:
    body = {"models": MODELS[:2], "prompt": "once"}
    headers = {"Idempotency-Key": "compare-once"}
    first, second = (
        installation.http.post("/compare", json=body, headers=headers) for _ in range(2)
    )
    assert first.json()["id"] == second.json()["id"]
    jobs = [
        {answer["job_id"] for answer in each.json()["rows"][0]["answers"]}
        for each in (first, second)
    ]
    assert jobs[0] == jobs[1]
    other = installation.http.post("/compare", json=body | {"prompt": "twice"}, headers=headers)
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"models": [], "prompt": "x"}, "models"),
        ({"models": ["sim/sim"]}, "prompt"),
        ({"models": ["sim/sim"], "prompt": "x", "prompts": ["y"]}, "one of"),
        ({"models": ["sim/sim", "sim/sim"], "prompt": "x"}, "twice"),
        ({"models": ["sim/sim"], "prompt": "x", "body": {"stream": True}}, "stream"),
        ({"models": ["sim/sim", "sim/nobody"], "prompt": "x"}, "sim/nobody"),
        ({"models": ["sim/sim"], "prompt": "x", "body": {"temperature": 9}}, "temperature"),
    ],
)
def test_what_cannot_be_compared_is_refused_whole(
    installation: Installation, body: dict, says: str
) -> None:
    before = installation.http.get("/jobs").json()["first_id"]
    answer = ask(installation, **body)
    assert answer.status_code in {400, 404}, answer.text
    assert says in answer.text
    assert installation.http.get("/jobs").json()["first_id"] == before


def test_nobody_sees_anothers_comparison(installation: Installation) -> None:
    assert installation.http.get("/compare/cmp_nothing").status_code == 404


def test_on_the_command_line(installation: Installation, tmp_path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("alpha beta\ngamma\n")
    out = tmp_path / "table.csv"
    done = waybill(
        installation, "-f", str(prompts), "-m", MODELS[0], "-m", MODELS[1], "-o", str(out)
    )
    assert done.returncode == 0, done.stderr
    assert "alpha beta" in done.stdout
    assert "Total" in done.stdout
    assert len(list(csv.DictReader(out.open()))) == 4
    told = waybill(installation, "one prompt", "-m", MODELS[0], "-m", MODELS[2], "--json")
    assert told.returncode == 1  # one of them failed
    table = json.loads(told.stdout)
    assert [each["answer"] for each in table["rows"][0]["answers"]] == ["one prompt", None]
    assert waybill(installation, "no models").returncode == 2
