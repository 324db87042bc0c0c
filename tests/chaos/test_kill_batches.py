"""kill -9 in the middle of a batch: every line once, and it costs the sum of its lines."""

from typing import Any

import pytest

from tests.e2e.batching import cost_of, create, line, lines_of, look
from tests.house import House, until

pytestmark = pytest.mark.chaos

LINES = 600


@pytest.mark.parametrize("victims", [["worker"], ["api", "valkey"]])
def test_a_batch_survives(victims: list[str]) -> None:
    with House() as house:
        lines = [line(f"n{n}", "sim-lat500", f"line {n}") for n in range(LINES)]
        batch_id = create(house, lines)["id"]
        # the first one dies while lines are still being taken in, if it can be caught there
        for share, victim in enumerate(victims):
            _await_ended(house, batch_id, LINES // 6 * share + 1)
            house.kill(victim)
            house.await_child(victim)
            house.await_ready()
        batch = until(
            lambda: _if_over(house, batch_id), 90, lambda: f"{look(house, batch_id)} {house.log()}"
        )
        assert (batch["status"], batch["request_counts"]["completed"]) == ("completed", LINES)
        found = lines_of(house, batch["output_file_id"])
        assert sorted(each["custom_id"] for each in found) == sorted(
            each["custom_id"] for each in lines
        )
        assert batch["usage"]["cost"] == pytest.approx(cost_of(found))
        house.audit()


def _ended(house: House, batch_id: str) -> int:
    counts = look(house, batch_id, results="false")["request_counts"]
    return int(counts["completed"] + counts["failed"])


def _await_ended(house: House, batch_id: str, lines: int) -> None:
    until(lambda: _ended(house, batch_id) >= lines, 30, "it does not go on")


def _if_over(house: House, batch_id: str) -> dict[str, Any] | None:
    batch = look(house, batch_id, results="false")
    return batch if batch["finalized_at"] is not None else None
