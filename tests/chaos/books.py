"""Read every job from the database, and check the promises."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.stacks import Stack

ENDED = frozenset({"completed", "failed", "cancelled", "expired"})


def unfinished(stack: Stack) -> int:
    """Return how many jobs still wait or run."""
    query = "SELECT count(*) FROM jobs WHERE state IN ('scheduled', 'queued', 'running')"
    return int(stack.ask(query)[0][0])


def audit(stack: Stack, job_ids: Iterable[str] | None = None) -> None:
    """Check that these jobs (all, by default) ended once, were paid once, and that it adds up."""
    wanted = None if job_ids is None else set(job_ids)
    jobs = [
        row
        for row in stack.ask("SELECT id, state, hold_nanos, coalesced_with FROM jobs")
        if wanted is None or row.id in wanted
    ]
    assert wanted is None or len(jobs) == len(wanted), "an accepted job is not in the database"
    entries, costs, attempts = _entries(stack), _costs(stack), _attempts(stack)
    for job in jobs:
        _check(
            job,
            entries.get(job.id, []),
            costs.get(job.id, []),
            attempts.get(job.id, []),
        )


def _check(
    job: Any,
    entries: list[tuple[str, int]],
    costs: list[int],
    outcomes: list[str | None],
) -> None:
    state, what = job.state, f"{job}: {entries}, costs {costs}, attempts {outcomes}"
    kinds = Counter(kind for kind, _ in entries)
    amount = sum(nanos for _, nanos in entries)
    assert None not in outcomes, f"an attempt was left open: {what}"
    if state == "completed":
        assert len(costs) == 1, what
    else:  # a stream that its caller ended early is paid for as far as it was shown
        assert len(costs) <= 1, what
    if costs and job.coalesced_with not in {None, job.id}:  # another job's call was its answer
        assert (outcomes.count("ok"), costs) == (0, [0]), what
    else:
        assert outcomes.count("ok") == (state == "completed"), what
    if state == "needs_review":
        assert kinds == {"hold": 1}, what
        return
    assert state in ENDED, f"not ended: {what}"
    kinds.pop("extend", None)  # where a fallback was dearer
    assert kinds == {"hold": 1, "settle" if costs else "release": 1}, what
    assert amount == -sum(costs), what


def _entries(stack: Stack) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    query = "SELECT job_id, kind, amount_nanos FROM ledger_entries WHERE job_id IS NOT NULL"
    for row in stack.ask(query):
        found.setdefault(row.job_id, []).append((row.kind, row.amount_nanos))
    return found


def _costs(stack: Stack) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in stack.ask("SELECT job_id, cost_nanos FROM generations"):
        found.setdefault(row.job_id, []).append(row.cost_nanos)
    return found


def _attempts(stack: Stack) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {}
    for row in stack.ask("SELECT job_id, outcome FROM attempts ORDER BY job_id, number"):
        found.setdefault(row.job_id, []).append(row.outcome)
    return found
