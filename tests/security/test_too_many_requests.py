"""Requests that are refused, and streams, count against a limit of who sends them."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker import accounts
from broker.accounts import Principal
from tests.api.conftest import Api, running, settings_for
from tests.factories import submit

BAD = "sk-wb-not-a-key"


@pytest.fixture
async def api(migrated: Path, tmp_path: Path) -> AsyncIterator[Api]:
    url = f"sqlite:///{shutil.copy(migrated, tmp_path / 'waybill.db')}"
    limits = {"refusals_per_minute": 5, "streams_per_key": 2}
    async with running(settings_for(tmp_path, database_url=url, **limits)) as api:
        yield api


async def statuses(api: Api, count: int, path: str, key: str) -> list[int]:
    return [(await api.ask("GET", path, key)).status_code for _ in range(count)]


async def test_guesses_of_keys_are_counted_by_address(api: Api) -> None:
    good = api.key()
    assert await statuses(api, 1, "/jobs", good) == [200]
    guesses = [(await api.ask("GET", "/jobs", f"{BAD}-{i}")).status_code for i in range(7)]
    assert guesses == [401] * 5 + [429] * 2
    # Then a key that was let in before, from the same address, still is
    assert await statuses(api, 1, "/jobs", good) == [200]


@pytest.mark.parametrize("path", ["/jobs/job_none", "/jobs?limit=0", "/nothing", "/keys"])
async def test_refusals_of_a_key_are_counted(api: Api, path: str) -> None:
    key, other = api.key(), api.key()
    assert await statuses(api, 1, "/jobs", key) == [200]
    assert await statuses(api, 1, "/jobs", other) == [200]
    refused = await statuses(api, 6, path, key)
    assert refused[-1] == 429
    assert all(400 <= status < 429 for status in refused[:-1])
    answer = await api.ask("GET", "/jobs", key)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 61
    assert "WAYBILL_REFUSALS_PER_MINUTE" in answer.text
    assert await statuses(api, 1, "/jobs", other) == [200]


async def test_those_who_watch_are_always_answered(api: Api) -> None:
    await statuses(api, 6, "/jobs", BAD)
    assert (await api.http.get("/health/live")).status_code == 200


async def test_streams_of_a_key_are_counted_until_they_end(api: Api) -> None:
    key, other = api.key(), api.key()
    with api.database.transaction() as connection:
        digest = accounts.hash_key(key)
        principal: Principal = accounts.find_credentials(connection, [digest])[digest].principal
    path = f"/jobs/{submit(api.database, principal, body={'stream': True})}/events"
    reading = [asyncio.create_task(api.ask("GET", path, key)) for _ in range(2)]
    streams = api.app.state.services.open_streams
    async with asyncio.timeout(20):
        while streams._open[principal.actor] < 2:
            await asyncio.sleep(0.01)
    answer = await api.ask("GET", path, key)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "5"
    assert "WAYBILL_STREAMS_PER_KEY" in answer.text
    # Then another key, and a plain request, are not affected
    third = asyncio.create_task(api.ask("GET", path, other))
    assert await statuses(api, 1, "/jobs", key) == [200]
    assert not third.done()
    for each in (*reading, third):
        each.cancel()
    await asyncio.gather(*reading, third, return_exceptions=True)
    assert not streams._open
