"""Requests that are refused, and streams, count against a limit of who sends them."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.requests import Request

from api.core.auth import SESSION_COOKIE
from api.core.rate_limits import MAX_CONCURRENT_LOOKUPS
from broker import accounts
from broker.accounts import Principal, Role, sessions, users
from broker.accounts import users as members
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


async def test_guesses_do_not_stop_a_valid_key_that_was_not_seen_before(api: Api) -> None:
    """After a restart no key has been seen, and a neighbour behind the same address guesses."""
    for i in range(6):
        await api.ask("GET", "/jobs", f"{BAD}-{i}")
    good = api.key()
    assert await statuses(api, 3, "/jobs", good) == [200] * 3
    # Then guesses are still refused, and so is what the valid key does wrong too often
    assert await statuses(api, 1, "/jobs", BAD) == [429]
    assert await statuses(api, 6, "/jobs/job_none", good) == [404] * 5 + [429]


async def test_guesses_do_not_stop_a_person_who_signed_in_elsewhere(api: Api) -> None:
    await statuses(api, 6, "/jobs", BAD)
    with api.database.transaction() as connection:
        user = users.create_user(connection, "ada@example.com", "Ada")
        members.add_member(connection, accounts.DEFAULT_WORKSPACE, user, Role.ADMIN)
        session = sessions.open_session(connection, user)
    cookie = {"Cookie": f"{SESSION_COOKIE}={session}"}
    assert (await api.http.get("/api/v1/keys", headers=cookie)).status_code == 200
    wrong = {"Cookie": f"{SESSION_COOKIE}=guessed"}
    assert (await api.http.get("/api/v1/keys", headers=wrong)).status_code == 429


@pytest.mark.parametrize("state", [{"disabled": True}, {"expires_at": 1}])
async def test_a_key_that_opens_nothing_does_not_pass_for_a_valid_one(
    api: Api, state: dict[str, int]
) -> None:
    await statuses(api, 6, "/jobs", BAD)
    assert await statuses(api, 1, "/jobs", api.key(**state)) == [429]


async def test_many_guesses_at_once_ask_the_database_a_few_at_a_time(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await statuses(api, 6, "/jobs", BAD)
    keyring, running, most = api.app.state.services.keyring, 0, 0
    look_up = keyring.principal

    async def counted(request: Request) -> Principal:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            found: Principal = await look_up(request)
            return found
        finally:
            running -= 1

    monkeypatch.setattr(keyring, "principal", counted)
    asked = [api.ask("GET", "/jobs", f"{BAD}-{i}") for i in range(50)]
    good = api.ask("GET", "/jobs", api.key())
    *guessed, answer = await asyncio.gather(*asked, good)
    assert {each.status_code for each in guessed} == {429}
    assert answer.status_code == 200
    assert 1 <= most <= MAX_CONCURRENT_LOOKUPS + 1  # and the one that was let in


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
        principal: Principal = accounts.find_keys_by_hash(connection, [digest])[digest].principal
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
