"""Files: what callers upload, what answers refer to, what batches bring.

`store` keeps bytes (a directory, or any bucket that fsspec speaks), `records` the rows, with the
quota of a workspace.
"""

from broker.enums import FilePurpose
from broker.storage.files.records import (
    FilePage,
    FileRow,
    Quota,
    Upload,
    add,
    add_upload,
    check_quota,
    find,
    list_expired,
    page,
    remove,
)
from broker.storage.files.records import media_row as row
from broker.storage.files.store import FileStore, file_store, refusal

__all__ = [
    "FilePage",
    "FilePurpose",
    "FileRow",
    "FileStore",
    "Quota",
    "Upload",
    "add",
    "add_upload",
    "check_quota",
    "file_store",
    "find",
    "list_expired",
    "page",
    "refusal",
    "remove",
    "row",
]
