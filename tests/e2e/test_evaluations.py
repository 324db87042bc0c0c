"""Evaluations over the API: cells as jobs, graded, summed up."""

import csv
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from standardwebhooks.webhooks import Webhook

from tests.installation import KEY, REPOSITORY, Installation, until

ENDED = {"completed", "cancelled", "expired", "failed"}
MODELS = ["sim/sim-echo", "sim/sim-words"]


SIGNED: list[tuple[bytes, dict[str, str]]] = []
"""The bodies and headers that the grader received."""


class Grader(BaseHTTPRequestHandler):
    """A caller's own grader: answers with an even number pass."""

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        asked = json.loads(content)
        SIGNED.append((content, dict(self.headers)))
        is_even = int(asked["expected"]) % 2 == 0
        reply = {"passed": is_even, "reason": "even" if is_even else "odd"}
        body = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def grading_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Grader)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/grade"
    server.shutdown()
    server.server_close()


def create(installation: Installation, **body: Any) -> dict[str, Any]:
    made = installation.http.post("/evaluations", json=body)
    assert made.status_code == 202, made.text
    return dict(made.json())


def awaited(installation: Installation, evaluation_id: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        found = installation.http.get(f"/evaluations/{evaluation_id}").json()
        return found if found["status"] in ENDED else None

    return until(ended, 60, installation.log)


def results(installation: Installation, evaluation_id: str) -> list[dict[str, Any]]:
    answer = installation.http.get(f"/evaluations/{evaluation_id}/results", params={"limit": 100})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def test_every_answer_is_graded(installation: Installation) -> None:
    prompts = [
        {"id": "a", "prompt": "one two", "expected": "one two"},
        {"id": "b", "prompt": "three four", "expected": ["Your prompt has 2 words.", "other"]},
        {"id": "c", "prompt": "without an expected answer"},
    ]
    made = create(
        installation, models=MODELS, prompts=prompts, samples=2, graders=[{"type": "exact"}]
    )
    found = awaited(installation, made["id"])
    assert (found["status"], found["prompts_graded"]) == ("completed", 3)
    assert found["answers"]["completed"] == 12
    assert found["cost"] == pytest.approx(found["answers"]["cost"])
    cells = results(installation, made["id"])
    assert [(cell["prompt_id"], cell["column"], cell["sample"]) for cell in cells] == [
        (each["id"], model, sample) for each in prompts for model in MODELS for sample in (1, 2)
    ]
    grades = [cell["grades"]["exact"]["passed"] for cell in cells]
    assert grades == [True, True, False, False, False, False, True, True, None, None, None, None]
    assert cells[-1]["grades"]["exact"]["error"] == "the prompt has no expected answer"
    assert cells[0]["answer"]["answer"] == "one two"
    echo, words = found["summary"]["columns"]
    assert (echo["answered"], echo["failed"], echo["agreement"]) == (6, 0, 1.0)
    assert words["graders"][0]["accuracy"]["value"] == 0.5
    assert echo["cost"] == pytest.approx(
        sum(cell["answer"]["cost"] for cell in cells if cell["column"] == MODELS[0])
    )
    assert installation.http.get("/evaluations").json()["data"][0]["id"] == made["id"]


def test_graders_of_every_kind(installation: Installation, grading_url: str) -> None:
    prompts = [
        {"prompt": f"{'word ' * n}the number is {n}", "expected": str(n)} for n in range(1, 9)
    ]
    prompts[0]["prompt"] = f"{'a' * 60} the number is 1"
    graders = [
        {"type": "contains"},
        {"type": "numeric", "tolerance": 0.5},
        {"type": "regex", "pattern": r"number is \d"},
        {"type": "regex", "name": "slow", "pattern": r"(\w|\w\w)+!"},
        {"type": "json_schema", "schema": {"type": "object"}},
        {"type": "similarity", "model": "sim/sim"},
        {"type": "judge", "model": "sim/sim-judge", "rubric": "Be long.", "pass_score": 3},
        {"type": "pairwise", "model": "sim/sim-judge", "rubric": "Be long."},
        {
            "type": "pairwise",
            "name": "biased",
            "model": "sim/sim-judgefirst",
            "rubric": "Be first.",
        },
        {"type": "http", "url": grading_url},
    ]
    made = create(installation, models=MODELS, prompts=prompts, graders=graders)
    found = awaited(installation, made["id"])
    assert found["status"] == "completed", found
    # one call for each answer and grader, and two for each pair
    assert found["judging"]["completed"] == found["judging"]["total"] == 16 * 2 + 8 * 2 * 2
    cells = results(installation, made["id"])
    echoes = [cell for cell in cells if cell["column"] == MODELS[0]]
    for number, cell in enumerate(echoes, start=1):
        grades, words = cell["grades"], len(cell["prompt"].split())
        passed = {name: grade["passed"] for name, grade in grades.items() if name != "slow"}
        assert passed == {
            "contains": True,
            "numeric": True,
            "regex": True,
            "json_schema": False,
            "similarity": False,
            "judge": 1 + words % 5 >= 3,
            "pairwise": None,
            "biased": None,
            "http": number % 2 == 0,
        }
        assert grades["judge"]["score"] == pytest.approx(words % 5 / 4)
        assert grades["json_schema"]["reason"] == "the answer is not JSON"
        assert grades["http"]["reason"] == ("even" if number % 2 == 0 else "odd")
    secret = installation.http.get("/webhooks/secret").json()["secret"]
    assert len(SIGNED) == 16
    content, headers = SIGNED[0]
    assert Webhook(secret).verify(content, headers)
    slow = [cell["grades"]["slow"] for cell in echoes]
    assert [grade["passed"] for grade in slow] == [None, *[False] * 7]
    assert "it took more than" in slow[0]["error"]
    fair, biased = found["summary"]["position_bias"]
    assert (fair["consistent"], fair["detected"], fair["first_share"]["value"]) == (8, False, 0.5)
    assert (biased["always_first"], biased["detected"]) == (8, True)
    assert biased["first_share"]["value"] == 1.0
    text = installation.http.get(f"/evaluations/{made['id']}", params={"format": "markdown"}).text
    assert text.startswith("| model | contains | numeric |")
    assert "a position bias" in text
    table = installation.http.get(f"/evaluations/{made['id']}/results", params={"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["judge_score"] for row in rows[::2]] == [
        str(cell["grades"]["judge"]["score"]) for cell in echoes
    ]
    file = installation.http.get(f"/evaluations/{made['id']}/results", params={"format": "parquet"})
    loaded = parquet.read_table(io.BytesIO(file.content)).to_pylist()
    assert [row["answer"] for row in loaded] == [row["answer"] for row in rows]


def test_cached_cells_cost_nothing(installation: Installation) -> None:
    body = {"models": ["sim/sim-echo"], "prompts": [{"prompt": "cached once"}], "samples": 2}
    first = awaited(installation, create(installation, **body, cache=True)["id"])
    again = awaited(installation, create(installation, **body, cache=True)["id"])
    fresh = awaited(installation, create(installation, **body)["id"])
    assert first["cost"] == fresh["cost"] > 0  # no sample is the answer of another one
    assert (again["cost"], again["answers"]["completed"]) == (0, 2)


def test_an_evaluation_stays_within_its_maximum_cost(installation: Installation) -> None:
    prompts = [{"prompt": f"say {number}"} for number in range(12)]
    one = awaited(installation, create(installation, models=MODELS[:1], prompts=prompts[:1])["id"])
    limit = one["cost"] * 9
    made = create(
        installation,
        models=MODELS[:1],
        prompts=prompts,
        max_cost=limit,
        body={"max_tokens": 8},
        graders=[{"type": "judge", "model": "sim/sim-judge", "rubric": "x"}],
    )
    found = awaited(installation, made["id"])
    assert (found["status"], found["stop_reason"]) == ("cancelled", "max_cost")
    assert 0 < found["cost"] <= limit
    assert found["summary"]["columns"][0]["answered"] == found["answers"]["completed"]


def test_a_cancelled_evaluation_keeps_its_answers(installation: Installation) -> None:
    made = create(
        installation,
        models=["sim/sim-echo", "sim/sim-lat20000"],
        prompts=[{"prompt": "stop", "expected": "stop"}],
        graders=[{"type": "exact"}],
    )

    def has_answer() -> bool:
        found = installation.http.get(f"/evaluations/{made['id']}").json()
        return bool(found["answers"]["completed"])

    until(has_answer, 30, installation.log)
    path = f"/evaluations/{made['id']}"
    assert installation.http.delete(path).status_code == 409
    told = installation.http.post(f"{path}/cancel")
    assert (told.status_code, told.json()["status"]) == (200, "cancelling")
    found = awaited(installation, made["id"])
    assert (found["status"], found["stop_reason"]) == ("cancelled", "cancelled")
    assert results(installation, made["id"])[0]["grades"]["exact"]["passed"] is True
    assert installation.http.delete(path).json()["deleted"] is True
    assert installation.http.get(path).status_code == 404


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"models": ["sim/nobody"]}, "sim/nobody"),
        ({"models": [{"model": "sim/sim", "providers": ["nobody"]}]}, "nobody"),
        ({"prompts": []}, "prompts"),
        ({"prompts": [{"prompt": "x"}, {"expected": "y"}]}, "prompts.1"),
        ({"graders": [{"type": "regex", "pattern": "("}]}, "graders.0"),
        ({"graders": [{"type": "guess"}]}, "graders.0"),
        ({"graders": [{"type": "exact"}, {"type": "exact"}]}, "name"),
        ({"graders": [{"type": "judge", "model": "sim/nobody", "rubric": "x"}]}, "sim/nobody"),
        ({"graders": [{"type": "http", "url": "http://10.0.0.1/"}]}, "graders.0.url"),
        ({"samples": 20, "prompts": [{"prompt": "x"}] * 2501}, "cells"),
        ({"baseline": "sim/other"}, "baseline"),
        ({"baseline": "recorded"}, "in a replay only"),
        ({"body": {"stream": True}}, "body"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(
    installation: Installation, body: dict[str, Any], says: str
) -> None:
    asked = {"models": ["sim/sim"], "prompts": [{"prompt": "x"}]} | body
    answer = installation.http.post("/evaluations", json=asked)
    assert answer.status_code in {400, 404}, answer.text
    assert says in answer.text


def waybill(installation: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = installation.environment | {
        "WAYBILL_URL": installation.root,
        "WAYBILL_API_KEY": KEY,
    }
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_on_the_command_line(installation: Installation, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.csv"
    prompts.write_text("prompt,expected\nalpha,alpha\nbeta gamma,beta\n")
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("Be long, and correct.")
    outputs = [
        tmp_path / f"out{suffix}" for suffix in (".csv", ".parquet", ".jsonl", ".md", ".json")
    ]
    arguments = ["-m", MODELS[0], "-m", f"{MODELS[0]}=sim", "--samples", "2", "--grader", "exact"]
    judge = f"judge:model=sim/sim-judge,rubric=@{rubric},pass_score=2"
    wanted = [word for path in outputs for word in ("-o", str(path))]
    done = waybill(installation, "eval", str(prompts), *arguments, "--grader", judge, *wanted)
    assert done.returncode == 0, done.stderr
    assert f"{MODELS[0]} (sim)" in done.stdout
    assert "not significant" in done.stdout
    found = json.loads(outputs[4].read_text())
    assert found["specification"]["graders"][1]["rubric"] == rubric.read_text()
    assert outputs[3].read_text().startswith("| model | exact | judge |")
    rows = list(csv.DictReader(outputs[0].open()))
    assert len(rows) == len(outputs[2].read_text().splitlines()) == 8
    assert parquet.read_table(outputs[1]).num_rows == 8
    again = waybill(installation, "eval", found["id"])  # what another terminal shows
    assert again.stdout == done.stdout
    prompts.write_text("prompt,expected\n,alpha\n")
    bad = waybill(installation, "eval", str(prompts), *arguments)
    assert (bad.returncode, "row 1: give either" in bad.stderr) == (1, True)


def test_prompts_of_an_uploaded_file(installation: Installation) -> None:
    content = b'{"input": "say it", "ideal": "say it"}\n'
    file = {"file": ("samples.jsonl", content)}
    uploaded = installation.http.post("/files", data={"purpose": "evals"}, files=file).json()
    body = {"models": MODELS[:1], "graders": [{"type": "exact"}]}
    found = awaited(
        installation, create(installation, **body, dataset_file_id=uploaded["id"])["id"]
    )
    assert found["summary"]["columns"][0]["graders"][0]["accuracy"]["value"] == 1.0
    answer = installation.http.post("/evaluations", json=body | {"dataset_file_id": "file_x"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "dataset_file_id")


def test_past_calls_are_replayed_against_other_models(
    installation: Installation, tmp_path: Path
) -> None:
    def call(prompt: str, **headers: str) -> str:
        body = {"model": "sim/sim-words", "messages": [{"role": "user", "content": prompt}]}
        told = installation.http.post(
            "/chat/completions", json=body | {"max_tokens": 50}, headers=headers
        )
        assert told.status_code == 200, told.text
        return str(told.headers["x-job-id"])

    ids = [call(f"again {'word ' * n}", **{"X-Title": "replayed"}) for n in range(3)]
    call("kept by nobody", **{"X-Title": "replayed", "X-Store": "none"})
    call("of another app", **{"X-Title": "other"})
    out = tmp_path / "replay.json"
    wanted = ["-w", "app=replayed", "-m", "sim/sim-words", "-m", "sim/sim-echo"]
    done = waybill(installation, "replay", *wanted, "--grader", "exact", "-o", str(out))
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert found["columns"] == ["recorded", "sim/sim-words", "sim/sim-echo"]
    assert (found["baseline"], found["prompts"], found["answers"]["total"]) == ("recorded", 3, 6)
    recorded, same, other = found["summary"]["columns"]
    assert (recorded["answered"], same["unchanged"], other["unchanged"]) == (3, 1.0, 0.0)
    assert recorded["cost"] == same["cost"] > 0
    differences = {each["name"]: each for each in found["summary"]["differences"]}
    assert differences["sim/sim-echo"]["difference"]["value"] == -1.0
    cells = results(installation, found["id"])
    assert [cell["answer"]["job_id"] for cell in cells[::3]] == ids[::-1]  # newest first
    # what is deleted of a job is deleted of its replay
    assert installation.http.delete(f"/jobs/{ids[0]}").status_code == 200
    last = results(installation, found["id"])[-3]
    assert (last["prompt"], last["expected"], last["answer"]["answer"]) == ("(deleted)", None, None)
    nothing = {"models": MODELS, "replay": {"app": "nobody's"}}
    answer = installation.http.post("/evaluations", json=nothing)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "replay")
