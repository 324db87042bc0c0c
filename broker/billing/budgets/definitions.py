"""Making, changing, listing and removing budgets: cold paths."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from broker.billing.budgets.limits import Limit, Scope, fill, limit_of_budget
from broker.errors import InvalidRequestError
from broker.ids import new_id
from broker.money import usd
from broker.storage.tables import Budget, table
from broker.usage import Reset

ORDER = (Reset.DAILY, Reset.WEEKLY, Reset.MONTHLY, Reset.LIFETIME)

_budgets = table(Budget)


@dataclass(frozen=True, slots=True)
class BudgetWish:
    """What a budget is to be; `nanos` and `soft` do not name it."""

    workspace_id: str
    scope: Scope
    subject_id: str
    reset: Reset
    nanos: int
    soft: bool
    now: int


def put_budget(connection: Connection, wish: BudgetWish) -> Limit:
    """Make a budget, or change the one of the same subject and period.

    Raises InvalidRequestError where a longer period would allow less than a shorter one: OpenRouter
    wants budgets to shrink strictly with their interval, and such a pair is always a mistake.
    """
    same = _named(wish.workspace_id, wish.scope, wish.subject_id)
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


def _check_order(wish: BudgetWish, others: dict[Reset, int]) -> None:
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
    same = _named(name.workspace_id, name.scope, name.subject_id)
    return connection.execute(
        select(_budgets).where(*same, _budgets.c.reset == name.reset.value)
    ).first()


def remove_budget(connection: Connection, name: BudgetName) -> bool:
    """Remove a budget; tell whether there was one."""
    same = _named(name.workspace_id, name.scope, name.subject_id)
    gone = connection.execute(delete(_budgets).where(*same, _budgets.c.reset == name.reset.value))
    return bool(gone.rowcount)


def workspace_budgets(connection: Connection, workspace_id: str, now: int) -> list[Limit]:
    """Return a workspace's budgets of every scope and where they stand, shortest period first."""
    query = select(_budgets).where(_budgets.c.workspace_id == workspace_id)
    rows = connection.execute(query.order_by(_budgets.c.scope.desc(), _budgets.c.id)).all()
    limits = [limit_of_budget(connection, row) for row in rows]
    fill(connection, limits, now)
    return sorted(limits, key=lambda each: (each.scope, each.subject_id, ORDER.index(each.reset)))


def _named(workspace_id: str, scope: Scope, subject_id: str) -> tuple[Any, ...]:
    return (
        _budgets.c.workspace_id == workspace_id,
        _budgets.c.scope == scope.value,
        _budgets.c.subject_id == subject_id,
    )
