"""Sums over rollups: spending in a window, and usage by day, model and provider."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, func, null, or_, select

from broker.enums import Reset
from broker.storage.tables import ApiKey, UsageRollup, table
from broker.usage.periods import DAY_MS, starts_at

_rollups = table(UsageRollup)
_PERIOD = {Reset.DAILY: "day", Reset.WEEKLY: "day"}  # months otherwise


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """The spending of a key in nano-dollars: in all, today, this week, this month (UTC)."""

    total: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    byok_total: int = 0  # what providers charged the caller's own keys
    byok_daily: int = 0
    byok_weekly: int = 0
    byok_monthly: int = 0

    def in_period(self, reset: Reset, *, byok: bool) -> int:
        """Return the spending in the current period; with `byok`, with charges of providers."""
        name = "total" if reset is Reset.LIFETIME else reset.value
        own: int = getattr(self, f"byok_{name}") if byok else 0
        return int(getattr(self, name)) + own


def sum_spent(
    connection: Connection,
    reset: Reset,
    now: int,
    *,
    workspace_id: str | None = None,
    key_ids: Sequence[str] | None = None,
    byok: bool = False,
) -> int:
    """Return the spending of a workspace, or of some keys, in the current period, in nano-dollars.

    With `byok`, it includes charges of providers to the caller's own accounts.
    """
    cost = _rollups.c.cost_nanos + _rollups.c.byok_cost_nanos if byok else _rollups.c.cost_nanos
    query = select(func.coalesce(func.sum(cost), 0)).where(
        _rollups.c.period == _PERIOD.get(reset, "month"),
        _rollups.c.starts_at >= starts_at(reset, now),
    )
    if workspace_id is not None:
        query = query.where(_rollups.c.workspace_id == workspace_id)
    if key_ids is not None:
        query = query.where(_rollups.c.api_key_id.in_(key_ids))
    return int(connection.execute(query).scalar_one())


def key_usage(connection: Connection, key_ids: Sequence[str], now: int) -> dict[str, KeyUsage]:
    """Return the spending of these keys, by id."""
    month, week, day = (starts_at(each, now) for each in (Reset.MONTHLY, Reset.WEEKLY, Reset.DAILY))

    def since(cost: ColumnElement[int], period: str, start: int) -> ColumnElement[int]:
        inside = and_(_rollups.c.period == period, _rollups.c.starts_at >= start)
        return func.coalesce(func.sum(case((inside, cost), else_=0)), 0)

    windows = (("month", 0), ("day", day), ("day", week), ("month", month))
    costs = (_rollups.c.cost_nanos, _rollups.c.byok_cost_nanos)

    rows = connection.execute(
        select(
            _rollups.c.api_key_id,
            *(since(cost, period, start) for cost in costs for period, start in windows),
        )
        .where(
            _rollups.c.api_key_id.in_(key_ids),
            or_(
                _rollups.c.period == "month",
                and_(_rollups.c.period == "day", _rollups.c.starts_at >= week),
            ),
        )
        .group_by(_rollups.c.api_key_id)
    )
    found = {row[0]: KeyUsage(*map(int, row[1:])) for row in rows}
    return {id_: found.get(id_, KeyUsage()) for id_ in key_ids}


DAYS = 30  # completed days, without today

_keys = table(ApiKey)
SUMMED = (
    *("requests", "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens"),
    *("cost_nanos", "byok_cost_nanos"),
)
"""The last fields of `Activity`."""


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """A filter of activity. None selects everything."""

    now: int
    workspace_ids: Collection[str] | None = None
    key_ids: Collection[str] | None = None
    key_hash: str | None = None  # or id
    user_id: str | None = None  # the creator of keys
    day: int | None = None  # its first millisecond
    by_workspace: bool = False  # split by workspace too

    @property
    def today(self) -> int:
        return self.now - self.now % DAY_MS

    @property
    def first_day(self) -> int:
        return self.today - DAYS * DAY_MS


class Activity(NamedTuple):
    """The usage of one day, model and provider."""

    starts_at: int  # Unix milliseconds
    model: str
    provider: str
    workspace_id: str | None  # None: of all workspaces of the filter
    requests: int
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cached_tokens: int
    cost_nanos: int
    byok_cost_nanos: int


def list_activity(connection: Connection, activity_filter: ActivityFilter) -> Sequence[Activity]:
    """Return the usage by day, model and provider, newest day first."""
    by: list[Any] = [_rollups.c.starts_at, _rollups.c.model, _rollups.c.provider]
    workspace = _rollups.c.workspace_id if activity_filter.by_workspace else null()
    sums = [func.sum(_rollups.c[name]) for name in SUMMED]
    grouped = [*by, _rollups.c.workspace_id] if activity_filter.by_workspace else by
    query = (
        select(*by, workspace, *sums)
        .where(
            _rollups.c.period == "day",
            _rollups.c.starts_at >= activity_filter.first_day,
            _rollups.c.starts_at < activity_filter.today,
            _rollups.c.requests > 0,
        )
        .group_by(*grouped)
        .order_by(_rollups.c.starts_at.desc(), *grouped[1:])
    )
    if activity_filter.workspace_ids is not None:
        query = query.where(_rollups.c.workspace_id.in_(activity_filter.workspace_ids))
    if activity_filter.key_ids is not None:
        query = query.where(_rollups.c.api_key_id.in_(activity_filter.key_ids))
    for column, value in (
        ("hash", activity_filter.key_hash),
        ("created_by", activity_filter.user_id),
    ):
        if value is not None:
            keys = select(_keys.c.id).where(or_(_keys.c[column] == value, _keys.c.id == value))
            query = query.where(_rollups.c.api_key_id.in_(keys))
    if activity_filter.day is not None:
        query = query.where(_rollups.c.starts_at == activity_filter.day)
    rows = connection.execute(query).all()
    return [Activity(*row[:4], *map(int, row[4:])) for row in rows]
