"""Limits as callers meet them: 429 with the way out, nothing made, replays not counted twice."""

import asyncio

import pytest
from sqlalchemy import func, select

from broker.clock import now_ms
from broker.storage.tables import Job, LedgerEntry
from tests.api.conftest import running, settings_for
from tests.factories import claim_one, finished, record

CHAT = {"model": "acme/small", "messages": [{"role": "user", "content": "hi"}]}
BAD = {"model": "acme/small", "messages": []}


@pytest.fixture
async def api(database_url, valkey, tmp_path):
    limits = {"free_requests_per_minute": 2, "free_requests_per_day": 3}
    async with running(
        settings_for(tmp_path, database_url=database_url, redis_url=valkey, **limits)
    ) as api:
        yield api


async def submit(api, key, model="acme/small", **headers):
    body = {"body": {**CHAT, "model": model}}
    return await api.ask("POST", "/jobs", key, json=body, headers=headers)


def made(api):
    def count(connection):
        return [
            connection.execute(select(func.count()).select_from(table.__table__)).scalar_one()
            for table in (Job, LedgerEntry)
        ]

    return api.database.read_now(count)


async def test_of_many_at_once_exactly_the_limit_passes_and_the_rest_make_nothing(api):
    key = api.key(requests_per_minute=5)
    answers = await asyncio.gather(*(submit(api, key) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [202] * 5 + [429] * 7
    assert made(api) == [5, 5]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["x-ratelimit-limit"] == "5"
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["type"] == "urn:waybill:error:rate_limit_exceeded"


async def test_a_replay_is_not_counted_and_passes_a_full_limit(api):
    key = api.key(requests_per_minute=2)
    first = await submit(api, key, **{"Idempotency-Key": "order-1"})
    for _ in range(3):  # none of these counts
        again = await submit(api, key, **{"Idempotency-Key": "order-1"})
        assert again.json()["id"] == first.json()["id"]
    assert (await submit(api, key)).status_code == 202
    assert (await submit(api, key)).status_code == 429
    again = await submit(api, key, **{"Idempotency-Key": "order-1"})
    assert again.json()["id"] == first.json()["id"]
    assert (await submit(api, key, **{"Idempotency-Key": "order-2"})).status_code == 429


async def test_a_request_that_is_refused_for_another_reason_is_not_counted(api):
    poor = api.key(api.workspace("poor", unlimited=False), requests_per_minute=1)
    for _ in range(3):
        assert (await submit(api, poor)).status_code == 402
        assert (await api.ask("POST", "/jobs", poor, json={"body": BAD})).status_code == 400


async def test_keys_of_one_workspace_share_its_limit(api):
    workspace = api.workspace()
    path = f"/workspaces/{workspace}"
    own = api.manager(workspace)  # a workspace does not raise its own limits
    for wish in ({"requests_per_minute": 9}, {"settings": {"free_requests_per_day": 9}}):
        assert (await api.ask("PATCH", path, own, json=wish)).status_code == 403
    changed = await api.ask("PATCH", path, json={"requests_per_minute": 3})
    assert changed.status_code == 200, changed.text
    keys = [api.key(workspace) for _ in range(2)]
    answers = [await submit(api, keys[number % 2]) for number in range(5)]
    assert [answer.status_code for answer in answers] == [202] * 3 + [429] * 2
    assert (await submit(api, api.key())).status_code == 202  # the neighbours feel nothing


async def test_jobs_at_a_time_come_free_as_they_end(api):
    key = api.key(max_concurrent_jobs=2)
    jobs = [(await submit(api, key)).json()["id"] for _ in range(2)]
    refused = await submit(api, key)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    await api.ask("POST", f"/jobs/{jobs[0]}/cancel", key)
    assert (await submit(api, key)).status_code == 202


async def test_who_follows_another_call_is_counted_like_who_makes_it(api):
    key = api.key(max_concurrent_jobs=2)
    asked = {"body": CHAT, "coalesce": True}
    answers = [await api.ask("POST", "/jobs", key, json=asked) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]


async def test_a_job_for_later_is_a_request_now_and_open_when_its_time_comes(api):
    later = {"body": CHAT, "not_before": now_ms() / 1000 + 3_600}
    for limit, expected in (("requests_per_minute", 429), ("max_concurrent_jobs", 202)):
        key = api.key(**{limit: 1})
        assert (await api.ask("POST", "/jobs", key, json=later)).status_code == 202
        assert (await submit(api, key)).status_code == expected


async def test_free_models_are_limited_by_workspace_however_many_keys(api):
    workspace = api.workspace()
    keys = [api.key(workspace) for _ in range(3)]
    answers = [await submit(api, key, "acme/small:free") for key in keys]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    told = (await api.ask("GET", "/key", keys[0])).json()["data"]
    assert told["free_model_daily_requests"] == {"used": 2, "limit": 3, "remaining": 1}
    assert (await submit(api, keys[0])).status_code == 202  # the paid model


async def test_compatible_routes_answer_in_openrouters_shape(api):
    key = api.key(requests_per_minute=1)
    await submit(api, key)
    refused = await api.ask("POST", "/chat/completions", key, json={**CHAT, "stream": True})
    assert refused.status_code == 429
    assert refused.json()["error"]["metadata"]["headers"]["X-RateLimit-Limit"] == "1"


async def test_keys_without_limits_do_not_ask_redis(api, monkeypatch):
    async def asked(*_):
        raise AssertionError("nobody should ask")

    monkeypatch.setattr(api.app.state.services.limiter, "take", asked)
    assert (await submit(api, api.key())).status_code == 202


CACHED = {"X-OpenRouter-Cache": "true", "Prefer": "respond-async"}


async def answered(api, key):
    """Ask with the response cache, and have a worker bring the answer; return what was asked."""
    asked = await api.ask("POST", "/chat/completions", key, json=CHAT, headers=CACHED)
    assert asked.headers["x-openrouter-cache-status"] == "MISS"
    claimed = claim_one(api.database, asked.headers["x-job-id"], now=now_ms())
    record(api.database, finished(claimed, now=now_ms()))


async def test_cached_answers_count_as_requests(api):
    key = api.key(requests_per_minute=3)
    await answered(api, key)
    answers = [
        await api.ask("POST", "/chat/completions", key, json=CHAT, headers=CACHED) for _ in range(3)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["x-openrouter-cache-status"] == "HIT"
    assert made(api)[0] == 3  # the refused one made nothing
    assert (await submit(api, key)).status_code == 429


async def test_a_cached_answer_takes_no_place_among_the_jobs_at_a_time(api):
    key = api.key(max_concurrent_jobs=1)
    await answered(api, key)
    assert (await submit(api, key)).status_code == 202  # the only place is taken now
    again = await api.ask("POST", "/chat/completions", key, json=CHAT, headers=CACHED)
    assert (again.status_code, again.headers["x-openrouter-cache-status"]) == (200, "HIT")


async def compare(api, key, *prompts, **headers):
    body = {"models": ["acme/small", "other/big"], "prompts": prompts}
    return await api.ask("POST", "/compare", key, json=body, headers=headers)


async def test_each_cell_of_a_comparison_is_a_request(api):
    key = api.key(requests_per_minute=5)
    assert (await compare(api, key, "a", "b", **{"Idempotency-Key": "one"})).status_code == 202
    refused = await compare(api, key, "c")  # one would pass, two do not: then none is counted
    assert (refused.status_code, made(api)[0]) == (429, 4)
    assert (await compare(api, key, "a", "b", **{"Idempotency-Key": "one"})).status_code == 202
    assert (await submit(api, key)).status_code == 202
    assert (await submit(api, key)).status_code == 429


async def test_a_comparison_that_can_never_pass_is_told_so(api):
    refused = await compare(api, api.key(max_concurrent_jobs=3), "a", "b")
    assert refused.status_code == 429
    assert "These are 4: ask for fewer at once" in refused.json()["detail"]
