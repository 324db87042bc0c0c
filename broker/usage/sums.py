"""Sums over rollups: spending in a window, and usage by day, model and provider."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, case, func, or_, select

from broker.storage.tables import ApiKey, UsageRollup, table
from broker.usage.periods import DAY_MS, Reset, starts_at

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
    """Return what a workspace, or some keys, spent in the current period.

    With `byok` what providers charged the caller's own accounts counts too.
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
    """Return what these keys spent, by id: the figures of GET /key."""
    month, week, day = (starts_at(each, now) for each in (Reset.MONTHLY, Reset.WEEKLY, Reset.DAILY))

    def since(cost: Any, period: str, start: int) -> Any:
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


DAYS = 30  # completed ones; today is not among them

_keys = table(ApiKey)
SUMMED = (
    *("requests", "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens"),
    *("cost_nanos", "byok_cost_nanos"),
)


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """A filter of activity. None selects everything."""

    now: int
    workspace_ids: Collection[str] | None = None
    key_ids: Collection[str] | None = None
    key_hash: str | None = None  # or id
    user_id: str | None = None  # whom keys stand for
    day: int | None = None  # its first millisecond
    by_workspace: bool = False  # split by workspace too

    @property
    def today(self) -> int:
        return self.now - self.now % DAY_MS

    @property
    def first_day(self) -> int:
        return self.today - DAYS * DAY_MS


def list_activity(connection: Connection, wanted: ActivityFilter) -> Sequence[Any]:
    """Return rows of (starts_at, model, provider[, workspace_id], sums), newest day first."""
    names = ["starts_at", "model", "provider"] + ["workspace_id"] * wanted.by_workspace
    by = [_rollups.c[name] for name in names]
    query = (
        select(*by, *[func.sum(_rollups.c[name]).label(name) for name in SUMMED])
        .where(
            _rollups.c.period == "day",
            _rollups.c.starts_at >= wanted.first_day,
            _rollups.c.starts_at < wanted.today,
            _rollups.c.requests > 0,
        )
        .group_by(*by)
        .order_by(_rollups.c.starts_at.desc(), *by[1:])
    )
    if wanted.workspace_ids is not None:
        query = query.where(_rollups.c.workspace_id.in_(wanted.workspace_ids))
    if wanted.key_ids is not None:
        query = query.where(_rollups.c.api_key_id.in_(wanted.key_ids))
    for column, value in (("hash", wanted.key_hash), ("created_by", wanted.user_id)):
        if value is not None:
            keys = select(_keys.c.id).where(or_(_keys.c[column] == value, _keys.c.id == value))
            query = query.where(_rollups.c.api_key_id.in_(keys))
    if wanted.day is not None:
        query = query.where(_rollups.c.starts_at == wanted.day)
    return connection.execute(query).all()
