"""Storage: the database with its tables, and the files beside it."""
