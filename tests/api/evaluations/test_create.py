"""POST /evaluations: repeated requests, privacy, and whose past calls a replay may read."""

import json
from typing import Any

import pytest
from sqlalchemy import update

from broker.clock import now_ms
from broker.storage.tables import Job, JobPayload, table
from tests.api.conftest import Api

ANSWER = json.dumps({"choices": [{"message": {"role": "assistant", "content": "an answer"}}]})
ASKED = {"models": ["acme/small"], "prompts": [{"prompt": "hi"}]}


async def make_key(api: Api, *scopes: str) -> str:
    made = await api.ask("POST", "/keys", json={"name": "app", "scopes": list(scopes)})
    return str(made.json()["key"])


async def answered_job(api: Api, key: str, prompt: str, **body: Any) -> str:
    """Return a past call, which got an answer."""
    messages = [{"role": "user", "content": prompt}]
    asked = {"body": {"model": "acme/small", "messages": messages, **body}}
    made = await api.ask("POST", "/jobs", key, json=asked)
    assert made.status_code == 202, made.text
    job_id = str(made.json()["id"])
    jobs, payloads = table(Job), table(JobPayload)
    with api.database.transaction() as connection:
        done = {"state": "completed", "ended_at": now_ms()}
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(done))
        answered = update(payloads).where(payloads.c.job_id == job_id)
        connection.execute(answered.values(response=ANSWER.encode()))
    return job_id


async def replayed(api: Api, key: str, **search: Any) -> list[str]:
    """Return the prompts of a replay; none if it is refused because there is none."""
    body = {"models": ["acme/small"], "replay": search}
    made = await api.ask("POST", "/evaluations", key, json=body)
    if made.status_code == 400:
        assert made.json()["error"]["param"] == "replay"
        return []
    assert made.status_code == 202, made.text
    found = await api.ask("GET", f"/evaluations/{made.json()['id']}/results", key)
    cells = [cell for cell in found.json()["data"] if cell["column"] == "recorded"]
    assert {cell["expected"] for cell in cells} == {"an answer"}
    return [cell["prompt"] for cell in cells]


async def test_the_same_key_gives_the_same_evaluation(api: Api) -> None:
    key, headers = api.key(), {"Idempotency-Key": "once"}
    first, again = [
        await api.ask("POST", "/evaluations", key, json=ASKED, headers=headers) for _ in range(2)
    ]
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    other = ASKED | {"samples": 2}
    refused = await api.ask("POST", "/evaluations", key, json=other, headers=headers)
    assert refused.status_code == 422


async def test_a_repeated_replay_is_the_same_although_there_are_more_calls(api: Api) -> None:
    key, headers = api.key(), {"Idempotency-Key": "replay"}
    body = {"models": ["acme/small"], "replay": {"limit": 5}}
    await answered_job(api, key, "one")
    first = await api.ask("POST", "/evaluations", key, json=body, headers=headers)
    await answered_job(api, key, "two")
    again = await api.ask("POST", "/evaluations", key, json=body, headers=headers)
    assert first.json()["id"] == again.json()["id"]


async def test_answers_that_are_not_kept_are_not_evaluated(api: Api) -> None:
    workspace_id = api.workspace("private")
    patch = {"store": "none"}
    changed = await api.ask("PATCH", f"/workspaces/{workspace_id}", json=patch)
    assert changed.status_code == 200, changed.text
    refused = await api.ask("POST", "/evaluations", api.key(workspace_id), json=ASKED)
    assert refused.status_code == 400
    assert "not kept" in refused.text


async def test_a_replay_finds_the_calls_that_its_search_names(api: Api) -> None:
    key = api.key()
    await answered_job(api, key, "of a user", user="u-1")
    await answered_job(api, key, "with metadata", metadata={"study": "a"})
    await answered_job(api, key, "not kept", store=False)
    for prompt in ("first", "second", "third"):
        await answered_job(api, key, prompt, session_id="s")
    assert await replayed(api, key, session_id="s", limit=2) == ["third", "second"]
    assert await replayed(api, key, user="u-1") == ["of a user"]
    assert await replayed(api, key, metadata={"study": "a"}) == ["with metadata"]
    assert await replayed(api, key, model="other/big") == []
    assert "not kept" not in await replayed(api, key)
    assert await replayed(api, key, created_before=1) == []


async def test_a_replay_reads_no_calls_of_others(api: Api) -> None:
    owner, app = await make_key(api, "jobs", "presets"), await make_key(api, "files")
    stranger = api.key(api.workspace("stranger"))
    await answered_job(api, owner, "a secret plan")
    assert await replayed(api, owner) == ["a secret plan"]
    assert await replayed(api, app) == await replayed(api, stranger) == []


async def test_the_prompt_of_a_preset_is_not_read_without_its_scope(api: Api) -> None:
    owner = await make_key(api, "jobs", "presets")
    reader = await make_key(api, "jobs")
    messages = [{"role": "system", "content": "a secret prompt"}, {"role": "user", "content": "x"}]
    preset = {"model": "acme/small", "messages": messages}
    made = await api.ask("POST", "/presets/tone/chat/completions", owner, json=preset)
    assert made.status_code == 200, made.text
    await answered_job(api, owner, "in a tone", preset="tone")
    await answered_job(api, owner, "plain")
    assert await replayed(api, owner, preset="tone") == ["in a tone"]
    assert await replayed(api, reader, preset="tone") == []
    assert await replayed(api, reader) == ["plain"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("limit", 0), ("limit", 5001), ("created_after", -1), ("status", "failed"), ("model", "")],
)
async def test_a_bad_search_is_refused(api: Api, field: str, value: Any) -> None:
    body = {"models": ["acme/small"], "replay": {field: value}}
    answer = await api.ask("POST", "/evaluations", api.key(), json=body)
    assert answer.status_code == 400
    assert field in answer.json()["error"]["message"]
