"""Storage: the database with its tables, and the files beside it.

`tables`, `write_lock` (SQLite's writers take turns), `engine` (connections), `database` (grouped
writes, reads), `files`.
"""
