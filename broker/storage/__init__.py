"""Storage: the database with its tables, and the files beside it.

`tables`, `write_lock` (SQLite's writers take turns), `engine` (connections), `write_groups` (which
writes share a transaction), `database` (grouped writes, reads), `text_lists`, `compiled_statements`
and `frequent_statements` (the statements of every job, on the driver), `files`.
"""
