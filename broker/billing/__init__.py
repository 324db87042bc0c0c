"""Money: the ledger, payments, budgets and the check that a job can be paid."""
