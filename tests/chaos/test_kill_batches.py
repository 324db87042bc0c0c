"""kill -9 in the middle of a batch: every line once, and it costs the sum of its lines."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.batching import cost_of, jsonl, line, lines_of, look
from tests.e2e.running import batch_of, start, written
from tests.installation import Installation, until
from tests.stacks import AT_SCALE

pytestmark = pytest.mark.chaos

LINES = 600


@pytest.mark.parametrize("victims", [["worker"], ["api"] if AT_SCALE else ["api", "valkey"]])
def test_a_batch_survives_and_whoever_runs_it_gets_every_line(
    victims: list[str], tmp_path: Path
) -> None:
    with Installation() as installation:
        lines = [line(f"n{n}", "sim-lat500", f"line {n}") for n in range(LINES)]
        source = tmp_path / "p.jsonl"
        source.write_bytes(jsonl(lines))
        run = start(installation, source)
        batch_id = until(lambda: batch_of(source), 30, "no batch is made")
        # the first one dies while lines are still being taken in, if it can be caught there
        for share, victim in enumerate(victims):
            _await_ended(installation, batch_id, LINES // 6 * share + 1)
            installation.kill(victim)
            installation.await_child(victim)
            installation.await_ready()
        batch = until(
            lambda: _if_over(installation, batch_id),
            200,
            lambda: f"{look(installation, batch_id)} {installation.log()}",
        )
        assert (batch["status"], batch["request_counts"]["completed"]) == ("completed", LINES)
        found = lines_of(installation, batch["output_file_id"])
        assert sorted(each["custom_id"] for each in found) == sorted(
            each["custom_id"] for each in lines
        )
        assert batch["usage"]["cost"] == pytest.approx(cost_of(found))
        said = run.communicate(timeout=60)[1]
        assert run.returncode == 0, said
        assert written(source).keys() == {each["custom_id"] for each in lines}
        installation.audit()


def _ended(installation: Installation, batch_id: str) -> int:
    counts = look(installation, batch_id, results="false")["request_counts"]
    return int(counts["completed"] + counts["failed"])


def _await_ended(installation: Installation, batch_id: str, lines: int) -> None:
    until(lambda: _ended(installation, batch_id) >= lines, 30, "it does not go on")


def _if_over(installation: Installation, batch_id: str) -> dict[str, Any] | None:
    batch = look(installation, batch_id, results="false")
    return batch if batch["finalized_at"] is not None else None
