"""Files: what callers upload, what answers refer to, what batches bring.

Rows in the database, bytes in a store beside it.
`store` keeps bytes (a directory, or any bucket that fsspec speaks), `records` the rows,
`quota` how many a workspace may keep.
"""

from broker.storage.files.quota import Quota, Upload, add_uploads_many, check_quota
from broker.storage.files.records import (
    FilePage,
    Purpose,
    StoredFileRow,
    add,
    expired,
    find,
    new_row,
    page,
    remove,
)
from broker.storage.files.records import media_row as row
from broker.storage.files.store import FileStore, file_store, refusal

__all__ = [
    "FilePage",
    "FileStore",
    "Purpose",
    "Quota",
    "StoredFileRow",
    "Upload",
    "add",
    "add_uploads_many",
    "check_quota",
    "expired",
    "file_store",
    "find",
    "new_row",
    "page",
    "refusal",
    "remove",
    "row",
]
