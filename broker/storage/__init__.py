"""Storage: the database with its tables, and the files beside it.

`tables`, `write_lock` (SQLite's writers take turns), `database` (grouped writes, reads), `files`.
"""
