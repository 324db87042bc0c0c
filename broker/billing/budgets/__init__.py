"""Limits on what may be spent in a period: of a workspace, of a member, of a key.

`limits` (what applies to whom, and what is left of it), `definitions` (making and listing budgets).
All that apply must hold. What is spent comes from the rollups, what is held from the ledger: there
is no counter that could drift.
"""

from broker.billing.budgets.definitions import (
    BudgetName,
    BudgetWish,
    find_budget,
    put_budget,
    remove_budget,
    workspace_budgets,
)
from broker.billing.budgets.limits import (
    Limit,
    Scope,
    budgets_of_keys,
    fill,
    limits_of,
    limits_of_used_keys,
)

__all__ = [
    "BudgetName",
    "BudgetWish",
    "Limit",
    "Scope",
    "budgets_of_keys",
    "fill",
    "find_budget",
    "limits_of",
    "limits_of_used_keys",
    "put_budget",
    "remove_budget",
    "workspace_budgets",
]
