"""A key learns from shared calls, or from the cache, what another key asked and was told."""

from types import SimpleNamespace

import orjson
import pytest

from broker import accounts
from broker.accounts import Scope
from broker.requests.operations import Operation
from broker.submission import response_cache
from tests.factories import job_row

CHAT = {"model": "acme/small", "messages": [{"role": "user", "content": "a secret plan"}]}


async def leader_of(api, key):
    """Return a job that asks to share its call, and whose call it shares."""
    answer = await api.ask("POST", "/jobs", key, json={"body": CHAT | {"coalesce": True}})
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["id"]
    return job_id, job_row(api.database, job_id).coalesced_with


def cached_job():
    """Return the parts of a job that name its cached answer."""
    row = {"operation": Operation.CHAT, "store": None}
    return SimpleNamespace(row=row, payload={"request": orjson.dumps(CHAT)})


@pytest.mark.parametrize("theirs", [[], ["jobs"]])
@pytest.mark.parametrize("mine", [[], ["files", "webhooks", "presets"]])
async def test_a_key_without_the_scope_shares_its_own_calls_only(api, theirs, mine):
    given = [(await api.ask("POST", "/keys", json={"name": "k", "scopes": each})).json()["key"]
             for each in (theirs, mine)]  # fmt: skip
    await leader_of(api, given[0])
    first, leader = await leader_of(api, given[1])
    assert leader == first
    assert (await leader_of(api, given[1]))[1] == first


async def test_keys_that_may_read_all_jobs_share_calls(api):
    readers = [api.key(), api.key(scopes='["jobs"]')]
    first, _ = await leader_of(api, readers[0])
    assert (await leader_of(api, readers[1]))[1] == first


@pytest.mark.parametrize("scopes", ["[]", '["jobs"]'])
async def test_the_cache_gives_a_key_its_own_answers_only(api, scopes):
    digests = [accounts.hash_key(api.key(scopes=scopes)) for _ in range(2)]
    found = api.database.read_now(accounts.find_keys_by_hash, digests)
    callers = [found[digest].principal for digest in digests]
    assert all((Scope.JOBS in each.scopes) == ("jobs" in scopes) for each in callers)
    names = {response_cache.build_key(each, cached_job()) for each in callers}
    assert len(names) == len(callers)
