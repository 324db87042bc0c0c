"""Evaluations over the API: cells as jobs, graded, summed up."""

from typing import Any

import pytest

from tests.installation import Installation, until

ENDED = {"completed", "cancelled", "expired", "failed"}
MODELS = ["sim/sim-echo", "sim/sim-words"]


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
