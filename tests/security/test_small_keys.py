"""An app that was given a key reads and changes what other keys of the workspace made."""

import time

import pytest

from api.accounts import key_jobs
from broker.accounts import Scope
from tests.factories import job_row

CHAT = {"model": "acme/small", "messages": [{"role": "user", "content": "a secret plan"}]}
LINE = b'{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {}}\n'
HOOK = {"url": "https://receiver.example/hook", "headers": {"Authorization": "Bearer hush"}}


async def given(api, *scopes):
    """Return a key that is made now, as an administrator makes it."""
    body = {"name": "app", "scopes": list(scopes)} if scopes else {"name": "app"}
    made = await api.ask("POST", "/keys", json=body)
    assert made.status_code == 201, made.text
    return made.json()["key"]


async def job_of(api, key):
    return (await api.ask("POST", "/jobs", key, json={"body": CHAT})).json()["id"]


async def file_of(api, key, purpose="user_data"):
    form = {"files": {"file": ("plan.jsonl", LINE)}, "data": {"purpose": purpose}}
    return (await api.ask("POST", "/files", key, **form)).json()["id"]


async def comparison_of(api, key):
    body = {"models": ["acme/small"], "prompt": "a secret plan"}
    return (await api.ask("POST", "/compare", key, json=body)).json()["id"]


async def evaluation_of(api, key):
    body = {"models": ["acme/small"], "prompts": [{"prompt": "a secret plan"}]}
    return (await api.ask("POST", "/evaluations", key, json=body)).json()["id"]


async def things_of(api, key):
    """Return what to ask about things of this key, and the scope that each needs."""
    job, file = await job_of(api, key), await file_of(api, key)
    paths = {
        f"GET /jobs/{job}": Scope.JOBS,
        f"GET /generation/content?id=gen-{job.removeprefix('job_')}": Scope.JOBS,
        f"POST /jobs/{job}/retry": Scope.JOBS,
        f"DELETE /jobs/{job}": Scope.JOBS,
        f"POST /jobs/{job}/cancel": Scope.JOBS,
        f"GET /compare/{await comparison_of(api, key)}": Scope.JOBS,
        f"GET /files/{file}": Scope.FILES,
        f"GET /files/{file}/content": Scope.FILES,
        f"DELETE /files/{file}": Scope.FILES,
    }
    batch = {"input_file_id": await file_of(api, key, "batch"), "endpoint": "/v1/chat/completions"}
    batch_id = (await api.ask("POST", "/batches", key, json=batch)).json()["id"]
    paths[f"GET /batches/{batch_id}"] = Scope.JOBS
    paths[f"POST /batches/{batch_id}/retry"] = Scope.JOBS
    paths[f"POST /batches/{batch_id}/cancel"] = Scope.JOBS
    paths[f"DELETE /batches/{batch_id}"] = Scope.JOBS
    evaluation = await evaluation_of(api, key)
    paths[f"GET /evaluations/{evaluation}"] = Scope.JOBS
    paths[f"GET /evaluations/{evaluation}/results"] = Scope.JOBS
    paths[f"POST /evaluations/{evaluation}/cancel"] = Scope.JOBS
    paths[f"DELETE /evaluations/{evaluation}"] = Scope.JOBS
    return paths


@pytest.mark.parametrize("scopes", [(), (Scope.WEBHOOKS,), (Scope.JOBS,), (Scope.FILES,)])
async def test_other_keys_things_are_not_found(api, scopes):
    owner, other = await given(api), await given(api, *scopes)
    for asked, scope in (await things_of(api, owner)).items():
        method, path = asked.split()
        answer = await api.ask(method, path, other)
        if scope not in scopes:
            assert answer.status_code == 404, (asked, answer.text)
        assert scope in scopes or "secret" not in answer.text
        assert (await api.ask(method, path, owner)).status_code != 404 or scope in scopes, asked


async def test_lists_hold_the_keys_own_things(api):
    owner, other, reader = await given(api), await given(api), await given(api, *Scope)
    await things_of(api, owner)
    mine = await job_of(api, other), await file_of(api, other)
    for path, own in (("/jobs", [mine[0]]), ("/files", [mine[1]]), ("/batches", [])):
        listed = (await api.ask("GET", path, other)).json()["data"]
        assert [each["id"] for each in listed] == own
        everything = (await api.ask("GET", path, reader)).json()["data"]
        assert len(everything) > len(own)


@pytest.mark.parametrize("path", ["/jobs", "/batches"])
async def test_another_keys_answer_is_not_replayed(api, path):
    owner, other = await given(api), await given(api)
    requests = [{"custom_id": "1", "body": CHAT}]
    inline = {"requests": requests, "endpoint": "/v1/chat/completions"}
    again = {"json": {"body": CHAT} if path == "/jobs" else inline}
    again["headers"] = {"Idempotency-Key": "guessed"}
    first = await api.ask("POST", path, owner, **again)
    assert (await api.ask("POST", path, other, **again)).status_code == 422
    assert (await api.ask("POST", path, owner, **again)).json()["id"] == first.json()["id"]


async def test_another_keys_file_is_no_input_of_a_batch(api):
    owner, other = await given(api), await given(api)
    body = {"input_file_id": await file_of(api, owner, "batch"), "endpoint": "/v1/chat/completions"}
    answer = await api.ask("POST", "/batches", other, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input_file_id")


@pytest.mark.parametrize(
    ("asked", "body", "scope"),
    [
        ("GET /webhooks/secret", None, Scope.WEBHOOKS),
        ("POST /webhooks/secret/rotate", {}, Scope.WEBHOOKS),
        ("GET /webhooks/endpoints", None, Scope.WEBHOOKS),
        ("POST /webhooks/endpoints", HOOK, Scope.WEBHOOKS),
        ("GET /webhooks/deliveries", None, Scope.WEBHOOKS),
        ("GET /presets", None, Scope.PRESETS),
        ("POST /presets/tone/chat/completions", CHAT | {"temperature": 1}, Scope.PRESETS),
        ("DELETE /presets/tone", None, Scope.PRESETS),
    ],
)
async def test_webhooks_and_presets_need_their_scope(api, asked, body, scope):
    method, path = asked.split()
    for key in (await given(api), await given(api, *(set(Scope) - {scope}))):
        answer = await api.ask(method, path, key, json=body)
        assert answer.status_code == 403
        assert f"the scope {scope.value}" in answer.text
        assert "whsec_" not in answer.text
    assert (await api.ask(method, path, await given(api, scope), json=body)).status_code != 403


async def test_what_a_key_made_is_listed_when_it_is_deleted(api):
    key = await given(api, *Scope)
    endpoint = (await api.ask("POST", "/webhooks/endpoints", key, json=HOOK)).json()["id"]
    await api.ask("POST", "/presets/tone/chat/completions", key, json=CHAT | {"temperature": 1})
    [row] = (await api.ask("GET", "/keys")).json()["data"][:1]
    deleted = (await api.ask("DELETE", f"/keys/{row['hash']}")).json()
    assert deleted["left"] == {
        "keys": [], "webhook_endpoints": [endpoint], "presets": ["tone"],
        "batches": [], "evaluations": [], "waiting_jobs": 0,
    }  # fmt: skip
    [entry] = (await api.ask("GET", "/audit", params={"action": "keys.delete"})).json()["data"]
    assert entry["after"] == {"left": deleted["left"]}
    manager = (await api.ask("POST", "/keys", json={"name": "m", "kind": "management"})).json()
    spare = (await api.ask("POST", "/keys", manager["key"], json={"name": "spare"})).json()
    deleted = (await api.ask("DELETE", f"/keys/{manager['data']['hash']}")).json()
    assert deleted["left"]["keys"] == [spare["data"]["id"]]


@pytest.mark.parametrize("jobs", ["keep", "cancel"])
async def test_what_a_deleted_key_submitted_goes_on_or_ends(api, jobs, monkeypatch):
    """A leaked key may have scheduled what runs long after it is gone."""
    monkeypatch.setattr(key_jobs, "GROUP_SIZE", 2)  # several rounds
    key, other = await given(api), await given(api)
    row = (await api.ask("GET", "/keys")).json()["data"][1]
    mine = [await job_of(api, key) for _ in range(3)]
    scheduled = {"body": CHAT, "not_before": time.time() + 3600}
    mine.append((await api.ask("POST", "/jobs", key, json=scheduled)).json()["id"])
    batch = {"input_file_id": await file_of(api, key, "batch"), "endpoint": "/v1/chat/completions"}
    batch_id = (await api.ask("POST", "/batches", key, json=batch)).json()["id"]
    evaluation_id = await evaluation_of(api, key)
    others = await job_of(api, other)
    path = f"/keys/{row['hash']}"
    assert (await api.ask("DELETE", path, params={"jobs": "perhaps"})).status_code == 400
    deleted = (await api.ask("DELETE", path, params={"jobs": jobs})).json()
    assert (deleted["left"]["waiting_jobs"], deleted["left"]["batches"]) == (4, [batch_id])
    assert deleted["left"]["evaluations"] == [evaluation_id]
    counts = None if jobs == "keep" else {"jobs": 4, "batches": 1, "evaluations": 1}
    assert deleted.get("cancelled") == counts
    states = {job_row(api.database, each).state for each in mine}
    assert states == ({"queued", "scheduled"} if jobs == "keep" else {"cancelled"})
    shown = (await api.ask("GET", f"/batches/{batch_id}", api.key())).json()["status"]
    assert shown == ("validating" if jobs == "keep" else "cancelling")
    shown = (await api.ask("GET", f"/evaluations/{evaluation_id}", api.key())).json()["status"]
    assert shown == ("preparing" if jobs == "keep" else "cancelling")
    assert job_row(api.database, others).state == "queued"


async def test_reading_the_secret_and_changing_presets_is_noted(api):
    key = await given(api, *Scope)
    await api.ask("GET", "/webhooks/secret", key)
    await api.ask("POST", "/presets/tone/chat/completions", key, json=CHAT | {"temperature": 1})
    await api.ask("PATCH", "/presets/tone", key, json={"version": 1})
    await api.ask("DELETE", "/presets/tone", key)
    entries = (await api.ask("GET", "/audit", params={"limit": 4})).json()["data"]
    assert [each["action"] for each in reversed(entries)] == [
        "webhooks.read_secret", "presets.save", "presets.choose", "presets.delete",
    ]  # fmt: skip
    assert "secret plan" not in str(entries)


async def test_a_key_from_before_keeps_what_it_had(api):
    before, owner = api.key(), await given(api)
    assert (await api.ask("GET", "/key", before)).json()["data"]["scopes"] == list(Scope)
    assert (await api.ask("GET", f"/jobs/{await job_of(api, owner)}", before)).status_code == 200
    assert (await api.ask("GET", "/webhooks/secret", before)).status_code == 200


async def test_scopes_are_given_taken_and_noted_by_administrators_alone(api):
    key = await given(api)
    [row] = (await api.ask("GET", "/keys")).json()["data"][:1]
    change = {"scopes": ["presets"]}
    assert (await api.ask("PATCH", f"/keys/{row['hash']}", key, json=change)).status_code == 403
    changed = await api.ask("PATCH", f"/keys/{row['hash']}", json=change)
    assert changed.json()["data"]["scopes"] == ["presets"]
    [entry] = (await api.ask("GET", "/audit", params={"action": "keys.update"})).json()["data"]
    assert (entry["before"]["scopes"], entry["after"]["scopes"]) == ("[]", '["presets"]')
    unknown = await api.ask("PATCH", f"/keys/{row['hash']}", json={"scopes": ["root"]})
    assert unknown.status_code == 400
