"""kill -9 twice in the middle of an evaluation: every call once, and figures of all answers."""

import csv
import io
from collections import defaultdict
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.installation import Installation, until

pytestmark = pytest.mark.chaos

PROMPTS, SAMPLES = 200, 2
MODELS = ["sim/sim-echo", "sim/sim-words", "sim/sim", "spare/sim-echo"]
CELLS = PROMPTS * len(MODELS) * SAMPLES
ENDED = {"completed", "cancelled", "expired", "failed"}


def test_an_evaluation_survives_and_each_call_is_charged_once() -> None:
    with Installation() as installation:
        evaluation_id = _create(installation)
        for stage in ("answers", "judging"):  # a worker dies in the middle of either
            _await(installation, evaluation_id, lambda found, s=stage: found[s]["completed"] > 150)
            installation.kill("worker")
            installation.await_child("worker")
            installation.await_ready()
        found = _await(installation, evaluation_id, lambda found: found["status"] in ENDED)
        assert (found["status"], found["prompts_graded"]) == ("completed", PROMPTS)
        assert found["answers"]["completed"] == found["judging"]["completed"] == CELLS
        path = f"/evaluations/{evaluation_id}/results"
        table = installation.http.get(path, params={"format": "csv"}).text
        rows = list(csv.DictReader(io.StringIO(table)))
        assert len({row["job_id"] for row in rows}) == len(rows) == CELLS
        assert found["answers"]["cost"] == pytest.approx(sum(float(row["cost"]) for row in rows))
        for column in found["summary"]["columns"]:
            _compare(column, [row for row in rows if row["column"] == column["name"]])
        installation.audit()


def _create(installation: Installation) -> str:
    prompts = [
        {"prompt": f"say {' '.join(['word'] * (n % 11))} {n}", "expected": str(n)}
        for n in range(PROMPTS)
    ]
    body = {
        "models": MODELS,
        "prompts": prompts,
        "samples": SAMPLES,
        "graders": [
            {"type": "judge", "model": "sim/sim-judge", "rubric": "Be long."},
            {"type": "contains"},
        ],
    }
    made = installation.http.post("/evaluations", json=body)
    assert made.status_code == 202, made.text
    return str(made.json()["id"])


def _await(installation: Installation, evaluation_id: str, is_so: Any) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        evaluation = installation.http.get(f"/evaluations/{evaluation_id}").json()
        return evaluation if is_so(evaluation) else None

    return until(found, 120, installation.log)


def _compare(column: dict[str, Any], rows: list[dict[str, str]]) -> None:
    """Compare figures with SciPy's, from the exported table alone."""
    judge, contains = column["graders"]
    scores, passes = defaultdict(list), defaultdict(list)
    for row in rows:
        scores[row["prompt_number"]].append(float(row["judge_score"]))
        passes[row["prompt_number"]].append(float(row["contains_passed"] == "True"))
    for estimate, groups in ((judge["score"], scores), (contains["accuracy"], passes)):
        means = [fmean(group) for group in groups.values()]
        assert estimate["value"] == pytest.approx(fmean(means))
        wanted = stats.bootstrap(
            (np.array(means),), np.mean, method="percentile", n_resamples=9_999, rng=1
        ).confidence_interval
        close = float(np.std(means)) / len(means) ** 0.5 / 4 + 1e-9
        found = (estimate["low"], estimate["high"])
        assert found == pytest.approx((wanted.low, wanted.high), abs=close)
    latencies = [float(row["latency_ms"]) for row in rows]
    assert column["latency_ms"]["p95"] == pytest.approx(np.quantile(latencies, 0.95))
