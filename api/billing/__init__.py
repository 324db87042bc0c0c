"""Credits, payments and budgets."""
