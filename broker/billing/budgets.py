"""Limits on spending in a period: of a workspace, of a member, of a key.

A job must fit every limit that applies. Spending comes from the usage rollups and holds come from
the ledger, so that there is no counter that could drift.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, insert, select, update

from broker import usage
from broker.billing import ledger
from broker.enums import BudgetScope, LimitReset
from broker.errors import InvalidRequestError
from broker.ids import new_id
from broker.money import usd
from broker.storage.tables import ApiKey, Budget, UsageRollup, columns, table
from broker.usage import Reset, starts_at
from broker.usage.periods import DAY_MS

_budgets = table(Budget)
_rollups = table(UsageRollup)
_keys = table(ApiKey)


@dataclass(slots=True)
class BudgetLimit:
    """A budget, or the limit of a key, with its spending and holds in nano-dollars."""

    id: str
    workspace_id: str
    scope: BudgetScope
    subject_id: str
    reset: Reset
    nanos: int
    soft: bool = False
    byok: bool = False  # charges to the caller's own provider accounts count too
    key_ids: Collection[str] | None = None  # of the keys that count; None = all of the workspace
    created_at: int = 0
    updated_at: int = 0
    spent: int = 0
    held: int = 0

    @property
    def left(self) -> int:
        """The amount that may still be held; negative after an overrun."""
        return self.nanos - self.spent - self.held

    def applies_to(self, workspace_id: str, api_key_id: str) -> bool:
        """Return whether a job of this workspace and key counts against the limit."""
        counts = self.key_ids is None or api_key_id in self.key_ids
        return counts and self.workspace_id == workspace_id


class BudgetRow(NamedTuple):
    """A row of `budgets`."""

    id: str
    workspace_id: str
    scope: BudgetScope
    subject_id: str  # the id of the workspace, user or key
    reset: Reset
    limit_nanos: int
    soft: bool  # announces thresholds, but refuses nothing
    created_at: int  # Unix milliseconds
    updated_at: int


class _KeyLimit(NamedTuple):
    """The columns of `api_keys` that limit the spending of a key."""

    id: str
    workspace_id: str
    limit_nanos: int
    limit_reset: LimitReset | None
    include_byok_in_limit: bool


_SELECT = select(*columns(BudgetRow, _budgets))
_SELECT_KEY_LIMITS = select(*columns(_KeyLimit, _keys)).where(_keys.c.limit_nanos.is_not(None))


def limits_of(
    connection: Connection,
    workspace_ids: Collection[str] | None,
    key_ids: Collection[str] = (),
    *,
    soft: bool,
) -> list[BudgetLimit]:
    """Return the budgets of these workspaces (None: of all), and the limits of these keys.

    Their sums are zero until `fill` reads them. With `soft`, soft budgets are included.
    """
    query = _SELECT.order_by(_budgets.c.id)
    if workspace_ids is not None:
        query = query.where(_budgets.c.workspace_id.in_(workspace_ids))
    if not soft:
        query = query.where(_budgets.c.soft.is_(False))
    found = _read(connection, query)
    return found + _key_limits(connection, key_ids)


def budgets_of_keys(
    connection: Connection, workspaces: Mapping[str, str], now: int
) -> dict[str, list[BudgetLimit]]:
    """Return the budgets that apply to each key, soft ones included, with their sums.

    `workspaces` maps the ids of keys to their workspaces. The limits of the keys are not included.
    """
    limits = limits_of(connection, set(workspaces.values()), soft=True)
    fill(connection, limits, now)
    return {
        key_id: [limit for limit in limits if limit.applies_to(workspace_id, key_id)]
        for key_id, workspace_id in workspaces.items()
    }


def _read(connection: Connection, query: Select[Any]) -> list[BudgetLimit]:
    rows = [BudgetRow(*row) for row in connection.execute(query)]
    return [_limit_of_budget(connection, row) for row in rows]


def _limit_of_budget(connection: Connection, row: BudgetRow) -> BudgetLimit:
    key_ids: Collection[str] | None = None
    if row.scope is BudgetScope.KEY:
        key_ids = {row.subject_id}
    elif row.scope is BudgetScope.MEMBER:
        key_ids = _keys_of(connection, row.workspace_id, row.subject_id)
    return BudgetLimit(
        row.id,
        row.workspace_id,
        row.scope,
        row.subject_id,
        row.reset,
        row.limit_nanos,
        soft=row.soft,
        key_ids=key_ids,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _keys_of(connection: Connection, workspace_id: str, user_id: str) -> frozenset[str]:
    """Return the ids of a member's keys, deleted ones included: their spending counts."""
    query = select(_keys.c.id).where(
        _keys.c.workspace_id == workspace_id, _keys.c.created_by == user_id
    )
    return frozenset(connection.execute(query).scalars())


def _key_limits(connection: Connection, key_ids: Collection[str]) -> list[BudgetLimit]:
    if not key_ids:
        return []
    query = _SELECT_KEY_LIMITS.where(_keys.c.id.in_(key_ids))
    return [_limit_of_key(_KeyLimit(*row)) for row in connection.execute(query)]


def _limit_of_key(row: _KeyLimit) -> BudgetLimit:
    return BudgetLimit(
        row.id,
        row.workspace_id,
        BudgetScope.KEY,
        row.id,
        Reset(row.limit_reset or Reset.LIFETIME),
        row.limit_nanos,
        byok=row.include_byok_in_limit,
        key_ids={row.id},
    )


def limits_of_used_keys(connection: Connection, now: int) -> list[BudgetLimit]:
    """Return the limits of the keys that were used today or yesterday, with their spending."""
    used = exists().where(
        _rollups.c.api_key_id == _keys.c.id,
        _rollups.c.period == "day",
        _rollups.c.starts_at >= starts_at(Reset.DAILY, now) - DAY_MS,
    )
    query = _SELECT_KEY_LIMITS.where(_keys.c.deleted_at.is_(None), used).order_by(_keys.c.id)
    limits = [_limit_of_key(_KeyLimit(*row)) for row in connection.execute(query)]
    known = usage.key_usage(connection, [each.id for each in limits], now)
    for limit in limits:
        limit.spent = known[limit.id].in_period(limit.reset, byok=limit.byok)
    return limits


def fill(connection: Connection, limits: Sequence[BudgetLimit], now: int) -> None:
    """Read the spending in the period of each limit, and the holds of open jobs."""
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
    """A budget to create or change; all fields but `nanos` and `soft` identify it."""

    workspace_id: str
    scope: BudgetScope
    subject_id: str
    reset: Reset
    nanos: int  # the limit in nano-dollars
    soft: bool
    now: int  # Unix milliseconds


def put_budget(connection: Connection, request: BudgetRequest) -> BudgetLimit:
    """Create a budget, or change the one of the same subject and period; return it with sums.

    Raises InvalidRequestError if a longer period would allow less than a shorter one. OpenRouter
    requires that budgets shrink strictly with their interval, and such a pair is a mistake.
    """
    same = _conditions(request.workspace_id, request.scope, request.subject_id)
    others = connection.execute(_SELECT.where(*same, _budgets.c.soft == request.soft)).all()
    _check_order(request, {row.reset: row.limit_nanos for row in others})
    values = {"limit_nanos": request.nanos, "soft": request.soft, "updated_at": request.now}
    this = (*same, _budgets.c.reset == request.reset.value)
    if not connection.execute(update(_budgets).where(*this).values(values)).rowcount:
        connection.execute(
            insert(_budgets).values(
                id=new_id("bud_"),
                workspace_id=request.workspace_id,
                scope=request.scope.value,
                subject_id=request.subject_id,
                reset=request.reset.value,
                created_at=request.now,
                **values,
            )
        )
    [limit] = _read(connection, _SELECT.where(*this))
    fill(connection, [limit], request.now)
    return limit


def _check_order(request: BudgetRequest, others: dict[Reset, int]) -> None:
    for reset, nanos in others.items():
        is_longer = ORDER.index(reset) > ORDER.index(request.reset)
        wrong = nanos <= request.nanos if is_longer else nanos >= request.nanos
        if wrong and reset is not request.reset:
            raise InvalidRequestError(
                f"limit_usd: a {request.reset} budget of {usd(request.nanos):g} USD conflicts with "
                f"the {reset} one of {usd(nanos):g}: a longer period must allow more.",
                param="limit_usd",
            )


@dataclass(frozen=True, slots=True)
class BudgetName:
    """The identity of a budget."""

    workspace_id: str
    scope: BudgetScope
    subject_id: str
    reset: Reset


def find_budget(connection: Connection, name: BudgetName) -> BudgetRow | None:
    """Return a budget, or None if there is none of this name."""
    same = _conditions(name.workspace_id, name.scope, name.subject_id)
    row = connection.execute(_SELECT.where(*same, _budgets.c.reset == name.reset.value)).first()
    return None if row is None else BudgetRow(*row)


def remove_budget(connection: Connection, name: BudgetName) -> bool:
    """Remove a budget; return whether there was one."""
    same = _conditions(name.workspace_id, name.scope, name.subject_id)
    gone = connection.execute(delete(_budgets).where(*same, _budgets.c.reset == name.reset.value))
    return bool(gone.rowcount)


def workspace_budgets(connection: Connection, workspace_id: str, now: int) -> list[BudgetLimit]:
    """Return all budgets of a workspace with their sums, shortest period first."""
    query = _SELECT.where(_budgets.c.workspace_id == workspace_id)
    limits = _read(connection, query.order_by(_budgets.c.scope.desc(), _budgets.c.id))
    fill(connection, limits, now)
    return sorted(limits, key=lambda each: (each.scope, each.subject_id, ORDER.index(each.reset)))


def _conditions(
    workspace_id: str, scope: BudgetScope, subject_id: str
) -> tuple[ColumnElement[bool], ...]:
    return (
        _budgets.c.workspace_id == workspace_id,
        _budgets.c.scope == scope.value,
        _budgets.c.subject_id == subject_id,
    )
