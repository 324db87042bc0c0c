"""Usage by day, model and provider: the last completed days, as GET /activity has it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, or_, select

from broker.storage.tables import ApiKey, UsageRollup, table
from broker.usage.periods import DAY_MS

DAYS = 30  # completed ones; today is not among them

_keys = table(ApiKey)
_rollups = table(UsageRollup)
SUMMED = (
    *("requests", "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens"),
    *("cost_nanos", "byok_cost_nanos"),
)


@dataclass(frozen=True, slots=True)
class Activity:
    """Which activity is asked for. None means: all."""

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


def activity(connection: Connection, wanted: Activity) -> Sequence[Any]:
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
