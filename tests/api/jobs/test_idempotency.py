"""An accepted job is found by its idempotency key although it would be refused now."""

import pytest

from api.jobs import submit
from broker.clock import now_ms
from tests.api.conftest import running, settings_for
from tests.factories import claim_one, count, finished, record

HELLO = [{"role": "user", "content": "hi"}]
SMALL = {"model": "acme/small", "messages": HELLO}
EMBED = {"model": "acme/small", "input": "hi"}
COMPARE = {"models": ["acme/small", "other/big"], "prompt": "hi"}
ASYNC = {"Prefer": "respond-async"}

REQUESTS = [
    pytest.param("/chat/completions", SMALL, ASYNC, id="chat"),
    pytest.param("/embeddings", EMBED, ASYNC, id="embeddings"),
    pytest.param("/jobs", {"body": SMALL, "max_cost": 1}, {}, id="job"),
    pytest.param("/compare", COMPARE, {}, id="comparison"),
]


def keyed(key="order-1", **more):
    return {"Idempotency-Key": key, **more}


@pytest.fixture
def config(database_url, valkey, tmp_path):
    return settings_for(tmp_path, database_url=database_url, redis_url=valkey)


@pytest.fixture
async def api(config):
    async with running(config) as api:
        yield api


def without_models(config):
    return config.model_copy(update={"models": config.models[2:]})


@pytest.mark.parametrize(("path", "body", "headers"), REQUESTS)
async def test_its_model_left_the_configuration(config, path, body, headers):
    async with running(config) as api:
        key = api.key()
        first = await api.ask("POST", path, key, json=body, headers=keyed(**headers))
        assert first.status_code == 202, first.text
    async with running(without_models(config)) as api:
        before = count(api.database)
        again = await api.ask("POST", path, key, json=body, headers=keyed(**headers))
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"]), again.text
        for other in (keyed("order-2", **headers), headers):
            refused = await api.ask("POST", path, key, json=body, headers=other)
            assert refused.status_code == 404
        assert count(api.database) == before


@pytest.mark.parametrize("stream", [False, True])
async def test_its_answer_is_given_though_the_model_is_gone(config, stream):
    body = SMALL | {"stream": stream}
    async with running(config) as api:
        key = api.key()
        first = await api.ask("POST", "/chat/completions", key, json=body, headers=keyed(**ASYNC))
        job_id = first.json()["id"]
        record(api.database, finished(claim_one(api.database, job_id, now=now_ms())))
    async with running(without_models(config)) as api:
        again = await api.ask("POST", "/chat/completions", key, json=body, headers=keyed())
        assert again.status_code == 200, again.text
        assert again.headers["x-job-id"] == job_id


async def test_a_wrong_field_is_named_though_the_key_is_known(api):
    key = api.key()
    await api.ask("POST", "/jobs", key, json={"body": SMALL}, headers=keyed())
    wrong = {"body": SMALL | {"temperature": 9}}
    refused = await api.ask("POST", "/jobs", key, json=wrong, headers=keyed())
    assert (refused.status_code, refused.json()["param"]) == (400, "body.temperature")


async def test_its_deadline_is_over(api, monkeypatch):
    key, deadline = api.key(), now_ms() // 1000 + 60
    body = {"body": SMALL, "deadline": deadline}
    first = await api.ask("POST", "/jobs", key, json=body, headers=keyed())
    monkeypatch.setattr(submit, "now_ms", lambda: (deadline + 1) * 1000)
    again = await api.ask("POST", "/jobs", key, json=body, headers=keyed())
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"]), again.text
    refused = await api.ask("POST", "/jobs", key, json=body, headers=keyed("order-2"))
    assert (refused.status_code, refused.json()["param"]) == (400, "deadline")


async def test_its_preset_was_changed_then_deleted(api):
    key = api.key()
    path, body = "/presets/mail/chat/completions", {"preset": "mail", "messages": HELLO}

    async def submitted():
        answer = await api.ask("POST", "/jobs", key, json={"body": body}, headers=keyed())
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    await api.ask("POST", path, key, json=SMALL)
    first = await submitted()
    await api.ask("POST", path, key, json=SMALL | {"temperature": 1})
    assert await submitted() == first
    assert (await api.ask("DELETE", "/presets/mail", key)).status_code == 200
    assert await submitted() == first
    assert count(api.database) == 1
