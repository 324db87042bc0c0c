"""Limits on spending in a period: of a workspace, of a member, of a key.

All that apply must hold. What is spent comes from the rollups, what is held from the ledger: there
is no counter that could drift.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, exists, insert, select, update

from broker import usage
from broker.billing import ledger
from broker.errors import InvalidRequestError
from broker.ids import new_id
from broker.money import usd
from broker.storage.tables import ApiKey, Budget, UsageRollup, table
from broker.usage import Reset, starts_at
from broker.usage.periods import DAY_MS

_budgets = table(Budget)
_rollups = table(UsageRollup)
_keys = table(ApiKey)


class Scope(StrEnum):
    """Whom a budget limits."""

    WORKSPACE = "workspace"
    MEMBER = "member"  # all keys that stand for a user, in one workspace
    KEY = "key"


@dataclass(slots=True)
class BudgetLimit:
    """A budget, or a key's own limit, and where it stands. Nano-dollars."""

    id: str
    workspace_id: str
    scope: Scope
    subject_id: str
    reset: Reset
    nanos: int
    soft: bool = False
    byok: bool = False  # what providers charge the caller's own accounts counts too
    key_ids: Collection[str] | None = None  # whose spending counts; None = the whole workspace's
    created_at: int = 0
    updated_at: int = 0
    spent: int = 0
    held: int = 0

    @property
    def left(self) -> int:
        return self.nanos - self.spent - self.held

    def applies_to(self, workspace_id: str, api_key_id: str) -> bool:
        mine = self.key_ids is None or api_key_id in self.key_ids
        return mine and self.workspace_id == workspace_id


def limits_of(
    connection: Connection,
    workspace_ids: Collection[str] | None,
    key_ids: Collection[str] = (),
    *,
    soft: bool,
) -> list[BudgetLimit]:
    """Return the budgets of these workspaces (None: of all), and the limits of these keys.

    Without their sums, see `fill`. Soft budgets only where they are asked for.
    """
    query = select(_budgets).order_by(_budgets.c.id)
    if workspace_ids is not None:
        query = query.where(_budgets.c.workspace_id.in_(workspace_ids))
    if not soft:
        query = query.where(_budgets.c.soft.is_(False))
    found = [limit_of_budget(connection, row) for row in connection.execute(query).all()]
    return found + _key_limits(connection, key_ids)


def budgets_of_keys(
    connection: Connection, workspaces: Mapping[str, str], now: int
) -> dict[str, list[BudgetLimit]]:
    """Return the budgets, soft ones too, that apply to each key, and where they stand.

    `workspaces` says of each key's id whose it is. A key's own limit is not among them.
    """
    limits = limits_of(connection, set(workspaces.values()), soft=True)
    fill(connection, limits, now)
    return {
        key_id: [limit for limit in limits if limit.applies_to(workspace_id, key_id)]
        for key_id, workspace_id in workspaces.items()
    }


def limit_of_budget(connection: Connection, row: Any) -> BudgetLimit:
    scope = Scope(row.scope)
    key_ids: Collection[str] | None = None
    if scope is Scope.KEY:
        key_ids = {row.subject_id}
    elif scope is Scope.MEMBER:
        key_ids = _keys_of(connection, row.workspace_id, row.subject_id)
    return BudgetLimit(
        row.id,
        row.workspace_id,
        scope,
        row.subject_id,
        Reset(row.reset),
        row.limit_nanos,
        soft=row.soft,
        key_ids=key_ids,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _keys_of(connection: Connection, workspace_id: str, user_id: str) -> frozenset[str]:
    """Return the keys that stand for a member, deleted ones included: what they spent counts."""
    query = select(_keys.c.id).where(
        _keys.c.workspace_id == workspace_id, _keys.c.created_by == user_id
    )
    return frozenset(connection.execute(query).scalars())


def _key_limits(connection: Connection, key_ids: Collection[str]) -> list[BudgetLimit]:
    if not key_ids:
        return []
    query = select(_keys).where(_keys.c.id.in_(key_ids), _keys.c.limit_nanos.is_not(None))
    return [_limit_of_key(row) for row in connection.execute(query)]


def _limit_of_key(row: Any) -> BudgetLimit:
    return BudgetLimit(
        row.id,
        row.workspace_id,
        Scope.KEY,
        row.id,
        Reset(row.limit_reset or Reset.LIFETIME),
        row.limit_nanos,
        byok=row.include_byok_in_limit,
        key_ids={row.id},
    )


def limits_of_used_keys(connection: Connection, now: int) -> list[BudgetLimit]:
    """Return the own limits of keys that were used today or yesterday, with what is spent."""
    used = exists().where(
        _rollups.c.api_key_id == _keys.c.id,
        _rollups.c.period == "day",
        _rollups.c.starts_at >= starts_at(Reset.DAILY, now) - DAY_MS,
    )
    query = select(_keys).where(
        _keys.c.limit_nanos.is_not(None), _keys.c.deleted_at.is_(None), used
    )
    limits = [_limit_of_key(row) for row in connection.execute(query.order_by(_keys.c.id))]
    known = usage.key_usage(connection, [each.id for each in limits], now)
    for limit in limits:
        limit.spent = known[limit.id].in_period(limit.reset, byok=limit.byok)
    return limits


def fill(connection: Connection, limits: Sequence[BudgetLimit], now: int) -> None:
    """Look up what is spent in each limit's period and held for open jobs."""
    held = ledger.totals(connection, [each.workspace_id for each in limits])
    counted = {id_ for each in limits for id_ in each.key_ids or ()}
    of_keys = ledger.key_totals(connection, counted)
    for limit in limits:
        limit.spent = usage.sum_spent(
            connection,
            limit.reset,
            now,
            workspace_id=limit.workspace_id,
            key_ids=None if limit.key_ids is None else sorted(limit.key_ids),
            byok=limit.byok,
        )
        limit.held = (
            held[limit.workspace_id].held
            if limit.key_ids is None
            else sum(of_keys[id_].held for id_ in limit.key_ids)
        )


ORDER = (Reset.DAILY, Reset.WEEKLY, Reset.MONTHLY, Reset.LIFETIME)


@dataclass(frozen=True, slots=True)
class BudgetRequest:
    """What a budget is to be; `nanos` and `soft` do not name it."""

    workspace_id: str
    scope: Scope
    subject_id: str
    reset: Reset
    nanos: int
    soft: bool
    now: int


def put_budget(connection: Connection, wish: BudgetRequest) -> BudgetLimit:
    """Make a budget, or change the one of the same subject and period.

    Raises InvalidRequestError where a longer period would allow less than a shorter one: OpenRouter
    wants budgets to shrink strictly with their interval, and such a pair is always a mistake.
    """
    same = _conditions(wish.workspace_id, wish.scope, wish.subject_id)
    others = connection.execute(select(_budgets).where(*same, _budgets.c.soft == wish.soft)).all()
    _check_order(wish, {Reset(row.reset): row.limit_nanos for row in others})
    values = {"limit_nanos": wish.nanos, "soft": wish.soft, "updated_at": wish.now}
    this = (*same, _budgets.c.reset == wish.reset.value)
    if not connection.execute(update(_budgets).where(*this).values(values)).rowcount:
        connection.execute(
            insert(_budgets).values(
                id=new_id("bud_"),
                workspace_id=wish.workspace_id,
                scope=wish.scope.value,
                subject_id=wish.subject_id,
                reset=wish.reset.value,
                created_at=wish.now,
                **values,
            )
        )
    row = connection.execute(select(_budgets).where(*this)).one()
    limit = limit_of_budget(connection, row)
    fill(connection, [limit], wish.now)
    return limit


def _check_order(wish: BudgetRequest, others: dict[Reset, int]) -> None:
    for reset, nanos in others.items():
        is_longer = ORDER.index(reset) > ORDER.index(wish.reset)
        wrong = nanos <= wish.nanos if is_longer else nanos >= wish.nanos
        if wrong and reset is not wish.reset:
            raise InvalidRequestError(
                f"limit_usd: a {wish.reset} budget of {usd(wish.nanos):g} USD does not go with the "
                f"{reset} one of {usd(nanos):g}: a longer period must allow more.",
                param="limit_usd",
            )


@dataclass(frozen=True, slots=True)
class BudgetName:
    """Which budget."""

    workspace_id: str
    scope: Scope
    subject_id: str
    reset: Reset


def find_budget(connection: Connection, name: BudgetName) -> Any | None:
    """Return a budget's row."""
    same = _conditions(name.workspace_id, name.scope, name.subject_id)
    return connection.execute(
        select(_budgets).where(*same, _budgets.c.reset == name.reset.value)
    ).first()


def remove_budget(connection: Connection, name: BudgetName) -> bool:
    """Remove a budget; tell whether there was one."""
    same = _conditions(name.workspace_id, name.scope, name.subject_id)
    gone = connection.execute(delete(_budgets).where(*same, _budgets.c.reset == name.reset.value))
    return bool(gone.rowcount)


def workspace_budgets(connection: Connection, workspace_id: str, now: int) -> list[BudgetLimit]:
    """Return a workspace's budgets of every scope and where they stand, shortest period first."""
    query = select(_budgets).where(_budgets.c.workspace_id == workspace_id)
    rows = connection.execute(query.order_by(_budgets.c.scope.desc(), _budgets.c.id)).all()
    limits = [limit_of_budget(connection, row) for row in rows]
    fill(connection, limits, now)
    return sorted(limits, key=lambda each: (each.scope, each.subject_id, ORDER.index(each.reset)))


def _conditions(workspace_id: str, scope: Scope, subject_id: str) -> tuple[Any, ...]:
    return (
        _budgets.c.workspace_id == workspace_id,
        _budgets.c.scope == scope.value,
        _budgets.c.subject_id == subject_id,
    )
