"""Files: what callers upload, what answers refer to, what batches bring.

Rows in the database, bytes in a store beside it.
`store` keeps bytes (a directory, or any bucket that fsspec speaks), `records` the rows.
"""

from broker.files.records import (
    FilePage,
    Purpose,
    StoredFileRow,
    add,
    add_many,
    expired,
    find,
    new_row,
    page,
    remove,
)
from broker.files.records import media_row as row
from broker.files.store import FileStore, file_store, refusal

__all__ = [
    "FilePage",
    "FileStore",
    "Purpose",
    "StoredFileRow",
    "add",
    "add_many",
    "expired",
    "file_store",
    "find",
    "new_row",
    "page",
    "refusal",
    "remove",
    "row",
]
