"""Uploads of a workspace are bounded in number, bytes and rate, and end."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path

import httpx
import pytest

from api.core import concurrency_limits
from api.core.concurrency_limits import TooManyUploadsError, UploadLimits
from broker.clock import now_ms
from tests.api.conftest import Api, running, settings_for

Start = Callable[..., AbstractAsyncContextManager[Api]]


@pytest.fixture
def start(migrated: Path, tmp_path: Path) -> Start:
    url = f"sqlite:///{shutil.copy(migrated, tmp_path / 'waybill.db')}"
    return lambda **limits: running(settings_for(tmp_path, database_url=url, **limits))


@pytest.fixture
async def api(start: Start) -> AsyncIterator[Api]:
    async with start(workspace_files=3, workspace_file_bytes=1_000) as api:
        yield api


async def upload(api: Api, key: str, size: int = 10) -> httpx.Response:
    form = {"file": ("a.txt", b"x" * size, "text/plain")}
    return await api.ask("POST", "/files", key, files=form, data={"purpose": "user_data"})


def stored(api: Api) -> list[Path]:
    directory = api.app.state.services.settings.data_dir / "files"
    return [each for each in directory.rglob("*") if each.is_file()]


async def test_a_workspace_keeps_so_many_files(api: Api) -> None:
    key, other = api.key(), api.key(api.workspace())
    kept = [await upload(api, key) for _ in range(3)]
    assert [each.status_code for each in kept] == [200] * 3
    refused = await upload(api, key)
    assert refused.status_code == 413
    assert "WAYBILL_WORKSPACE_FILES" in refused.text
    assert len(stored(api)) == 3
    assert (await upload(api, other)).status_code == 200
    await api.ask("DELETE", f"/files/{kept[0].json()['id']}", key)
    assert (await upload(api, key)).status_code == 200


async def test_and_so_many_bytes(api: Api) -> None:
    key = api.key()
    assert (await upload(api, key, 900)).status_code == 200
    refused = await upload(api, key, 200)
    assert refused.status_code == 413
    assert "WAYBILL_WORKSPACE_FILE_BYTES" in refused.text
    assert len(stored(api)) == 1  # nothing stays of what was refused
    assert (await upload(api, key, 100)).status_code == 200


async def test_uploads_of_a_minute_are_counted(start: Start) -> None:
    async with start(uploads_per_minute=2) as api:
        key, other = api.key(), api.key(api.workspace())
        statuses = [(await upload(api, key)).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        answer = await upload(api, key)
        assert answer.headers["Retry-After"] == "5"
        assert (await upload(api, other)).status_code == 200


def test_so_many_uploads_of_a_workspace_are_under_way() -> None:
    turns = UploadLimits(0)
    with ExitStack() as under_way:
        for _ in range(concurrency_limits.MAX_CONCURRENT_UPLOADS):
            under_way.enter_context(turns.count("ws"))
        with pytest.raises(TooManyUploadsError), turns.count("ws"):
            pass
        with turns.count("other"):
            pass
    with turns.count("ws"):
        pass


@pytest.mark.parametrize(("days", "kept"), [(0, None), (2, 2 * 86_400)])
async def test_uploads_end_where_it_is_configured(
    start: Start, days: int, kept: int | None
) -> None:
    async with start(upload_days=days) as api:
        answer = (await upload(api, api.key())).json()
    if kept is None:
        assert answer["expires_at"] is None
    else:
        assert abs(answer["expires_at"] - now_ms() / 1000 - kept) < 60
