"""A disk that is full refuses files with 507, and keeps nothing of them."""

import contextlib
import json
import resource

import pytest

from broker.storage.tables import StoredFile
from tests.factories import count

ROOM = 1_500_000  # bytes that a file may have; the database has fewer
LINES = [
    {"custom_id": str(number), "body": {"model": "acme/small", "prompt": "x" * 1_000_000}}
    for number in range(3)
]
UPLOAD = {
    "data": {"purpose": "batch"},
    "files": {"file": ("lines.jsonl", "\n".join(json.dumps(line) for line in LINES))},
}
INLINE = {"json": {"endpoint": "/v1/chat/completions", "requests": LINES}}


@contextlib.contextmanager
def full_disk():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("path", "body"), [("/files", UPLOAD), ("/batches", INLINE)])
async def test_nothing_is_kept_of_what_does_not_fit(api, tmp_path, path, body):
    key = api.key()
    with full_disk():
        answer = await api.ask("POST", path, key, **body)
    assert answer.status_code == 507, answer.text
    assert "make room" in answer.json()["error"]["message"]
    assert [each for each in (tmp_path / "files").rglob("*") if each.is_file()] == []
    assert count(api.database, StoredFile) == 0
    assert (await api.ask("POST", path, key, **body)).status_code < 300
