"""Uploaded files are downloads, never pages of our origin."""

from urllib.parse import unquote

import pytest
from sqlalchemy import update

from api.core import media
from broker.storage.tables import StoredFile, table

OCTETS = "application/octet-stream"


async def uploaded(api, kind: str, name: str = "a.bin") -> str:
    part = {"file": (name, b"<script>1</script>", kind)}
    answer = await api.ask("POST", "/files", api.key(), data={"purpose": "user_data"}, files=part)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("text/html", OCTETS),
        ("TEXT/HTML; charset=utf-8", OCTETS),
        ("image/svg+xml", OCTETS),
        ("application/xhtml+xml", OCTETS),
        ("video/anything+xml", OCTETS),
        ("text/xml", OCTETS),
        ("application/javascript", OCTETS),
        ("multipart/x-mixed-replace", OCTETS),
        ('text/html; x="\x01"', OCTETS),
        ("text/plain\x00", OCTETS),
        ("é/x", OCTETS),
        ("image/" + "x" * 3000, OCTETS),
        ("", OCTETS),
        ("image/png", "image/png"),
        ("audio/mpeg", "audio/mpeg"),
        ("video/mp4", "video/mp4"),
        ("application/json", "application/json"),
        ("application/jsonl", "application/jsonl"),
        ("application/pdf", "application/pdf"),
        ("text/plain; charset=latin-1", "text/plain; charset=latin-1"),
    ],
)
async def test_no_browser_renders_a_file(api, kind: str, given: str) -> None:
    file_id = await uploaded(api, kind)
    await check(api, file_id, given)
    stored = kind.replace("\0", "\1")  # which PostgreSQL could never hold
    with api.database.transaction() as connection:  # as it was stored before
        files = table(StoredFile)
        connection.execute(update(files).where(files.c.id == file_id).values(media_type=stored))
    await check(api, file_id, given)


async def check(api, file_id: str, given: str) -> None:
    link = media.build_signed_link(api.app.state.services, file_id)
    for answer in (
        await api.ask("GET", f"/files/{file_id}/content", api.key()),
        await api.http.get(link),
    ):
        assert answer.status_code == 200
        assert answer.content == b"<script>1</script>"
        assert answer.headers["content-type"] == given
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


@pytest.mark.parametrize("name", ["a.png", "é 'x'.png", 'a"; filename=evil.html', "a\r\nX: y"])
async def test_a_download_keeps_its_name(api, name: str) -> None:
    file_id = await uploaded(api, "image/png", name)
    shown = (await api.ask("GET", f"/files/{file_id}", api.key())).json()["filename"]
    answer = await api.ask("GET", f"/files/{file_id}/content", api.key())
    told = answer.headers["content-disposition"]
    assert told.startswith("attachment; filename*=utf-8''")
    assert unquote(told.partition("''")[2]) == shown
    assert told.isascii()
    assert "x" not in answer.headers
