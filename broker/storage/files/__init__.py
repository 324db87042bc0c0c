"""Files: what callers upload, what answers refer to, what batches bring.

`store` keeps bytes (a directory, or any bucket that fsspec speaks), `records` the rows, with the
quota of a workspace.
"""

from broker.enums import FilePurpose
from broker.storage.files.records import (
    FilePage,
    Quota,
    StoredFileRow,
    Upload,
    add,
    add_upload,
    check_quota,
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
    "FilePurpose",
    "FileStore",
    "Quota",
    "StoredFileRow",
    "Upload",
    "add",
    "add_upload",
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
