"""Announce to a workspace that a budget, or the limit of a key, reached a threshold.

Each threshold is announced once in a period.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from broker import webhooks
from broker.billing import budgets
from broker.billing.budgets import BudgetLimit
from broker.clock import moment
from broker.money import usd
from broker.storage.tables import BudgetNotice, table
from broker.usage import ends_at, starts_at

THRESHOLDS = (50, 80, 100)  # per cent

_notices = table(BudgetNotice)


def announce_thresholds(connection: Connection, now: int) -> int:
    """Announce the thresholds that spending has newly reached; return their number.

    The leader calls this every few seconds, so that settlements need not. If spending passed
    several thresholds of a budget since, only the highest is announced.
    """
    limits = budgets.limits_of(connection, None, soft=True)
    budgets.fill(connection, limits, now)
    limits += budgets.limits_of_used_keys(connection, now)
    reached = [(limit, at) for limit in limits if (at := _threshold_of(limit))]
    announced = _announced(connection, [limit for limit, _ in reached])
    due = [
        (limit, threshold)
        for limit, threshold in reached
        if threshold > announced.get((limit.id, starts_at(limit.reset, now)), 0)
    ]
    if due:
        rows = [_row(limit, threshold, now) for limit, threshold in due]
        connection.execute(insert(_notices), rows)
        webhooks.fan_out(connection, [_event(limit, threshold, now) for limit, threshold in due])
    return len(due)


def _threshold_of(limit: BudgetLimit) -> int:
    return max((each for each in THRESHOLDS if limit.spent * 100 >= limit.nanos * each), default=0)


def _announced(connection: Connection, limits: Sequence[BudgetLimit]) -> dict[tuple[str, int], int]:
    """Return the highest announced threshold by budget id and start of the period."""
    query = select(_notices.c.budget_id, _notices.c.starts_at, _notices.c.threshold).where(
        _notices.c.budget_id.in_([limit.id for limit in limits])
    )
    announced: dict[tuple[str, int], int] = {}
    for budget_id, start, threshold in connection.execute(query):
        announced[budget_id, start] = max(threshold, announced.get((budget_id, start), 0))
    return announced


def _row(limit: BudgetLimit, threshold: int, now: int) -> dict[str, Any]:
    return {
        "budget_id": limit.id,
        "starts_at": starts_at(limit.reset, now),
        "threshold": threshold,
        "created_at": now,
    }


def _event(limit: BudgetLimit, threshold: int, now: int) -> webhooks.WebhookEvent:
    until = ends_at(limit.reset, now)
    data = {
        "id": limit.id,
        "object": "key_limit" if limit.id == limit.subject_id else "budget",
        "scope": limit.scope.value,
        "subject_id": limit.subject_id,
        "reset_interval": limit.reset.value,
        "soft": limit.soft,
        "threshold_percent": threshold,
        "limit_usd": usd(limit.nanos),
        "spend_usd": usd(limit.spent),
        "resets_at": None if until is None else moment(until),
    }
    return webhooks.WebhookEvent(limit.workspace_id, "budget.threshold", limit.id, now, data)
