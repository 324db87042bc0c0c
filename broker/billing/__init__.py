"""Money: the ledger, payments, budgets, and the check that a job can be paid.

`ledger` (append-only entries), `payments` (prepaid credit), `budgets` (limits on spending),
`budget_notices` (events when one is nearly spent), `funds` (whether an amount may be held).
"""
