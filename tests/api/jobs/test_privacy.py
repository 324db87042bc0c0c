"""Deleted content returns 410 on every route, never 500."""

import orjson
import pytest
from sqlalchemy import update

from broker.clock import now_ms
from broker.lifecycle import retention
from broker.storage.tables import Job, JobPayload

BODY = {"model": "acme/small", "messages": [{"role": "user", "content": "hi"}]}
ANSWER = {"id": "gen-1", "choices": [{"message": {"content": "yes"}}], "usage": {}}


async def submit(api, key, **wish):
    answer = await api.ask("POST", "/jobs", key, json={"body": BODY, **wish})
    assert answer.status_code == 202, answer.text
    return answer.json()


def complete(api, job_id, *, response=ANSWER, kept=None, request=True):
    """As a worker would leave it, as far as these routes look."""
    with api.database.transaction() as connection:
        connection.execute(
            update(Job.__table__).filter_by(id=job_id)
            .values(state="completed", ended_at=now_ms(), kept=kept)
        )  # fmt: skip
        values = {"response": response and orjson.dumps(response)}
        values |= {} if request else {"request": b""}
        connection.execute(update(JobPayload.__table__).filter_by(job_id=job_id).values(values))


async def test_the_answer_of_a_job_that_keeps_nothing_goes_a_moment_after_it_was_sent(api):
    key = api.key()
    job = await submit(api, key, store="none")
    assert (job["store"], job["kept"]) == ("none", None)
    complete(api, job["id"])
    first = (await api.ask("GET", f"/jobs/{job['id']}", key)).json()
    assert first["response"]["choices"]
    # whose connection broke meanwhile comes back for it
    again = (await api.ask("GET", f"/jobs/{job['id']}", key)).json()
    assert again["response"] == first["response"]
    now = now_ms()
    with api.database.transaction() as connection:
        assert retention.delete_unkept(connection, now, now - 60_000) == []
        assert retention.delete_unkept(connection, now, now) == [job["id"]]
    gone = (await api.ask("GET", f"/jobs/{job['id']}", key)).json()
    assert (gone["response"], gone["kept"]) == (None, "nothing")
    listed = (await api.ask("GET", "/jobs", key)).json()["data"][0]
    assert (listed["status"], listed["kept"]) == ("completed", "nothing")


async def test_what_is_forgotten_is_gone_for_an_idempotent_repetition_too(api):
    key, headers = api.key(), {"Idempotency-Key": "k"}
    first = await api.ask("POST", "/jobs", key, json={"body": BODY}, headers=headers)
    job_id = first.json()["id"]
    complete(api, job_id, response=None, kept="nothing", request=False)
    again = await api.ask("POST", "/jobs", key, json={"body": BODY}, headers=headers)
    assert (again.status_code, again.json()["kept"]) == (202, "nothing")
    events = await api.ask("GET", f"/jobs/{job_id}/events", key)
    assert (events.status_code, "completed" in events.text) == (200, True)
    content = await api.ask("GET", "/generation/content", key,
                            params={"id": job_id.replace("job_", "gen-")})  # fmt: skip
    assert content.status_code == 410
    assert content.json()["error"]["metadata"]["reason"] == "forgotten"


async def test_a_prompt_that_is_gone_is_shown_as_none_beside_its_answer(api):
    key = api.key()
    job = await submit(api, key, store="result_only")
    complete(api, job["id"], kept="result", request=False)
    content = await api.ask("GET", "/generation/content", key,
                            params={"id": job["id"].replace("job_", "gen-")})  # fmt: skip
    assert content.json()["data"]["input"] is None
    assert content.json()["data"]["output"]["completion"] == "yes"
    assert (await api.ask("GET", f"/jobs/{job['id']}", key)).json()["response"]


@pytest.mark.parametrize(("setting", "wish", "kept"), [
    ("none", None, "none"), ("none", "full", "none"), ("result_only", "none", "none"),
    (None, None, "full"), (None, "result_only", "result_only"),
])  # fmt: skip
async def test_a_workspace_says_what_is_kept_and_a_job_may_ask_for_less(api, setting, wish, kept):
    own = api.workspace()
    manager = api.manager(own)
    changed = await api.ask(
        "PATCH", f"/workspaces/{own}", manager, json={"store": setting, "retention_days": 30}
    )
    assert (changed.json()["data"]["store"], changed.json()["data"]["retention_days"]) == (
        setting,
        30,
    )
    wishes = {} if wish is None else {"store": wish}
    assert (await submit(api, api.key(own), **wishes))["store"] == kept


async def test_wrong_words_are_refused_with_their_field(api):
    bad = await api.ask("POST", "/jobs", api.key(), json={"body": BODY, "store": "some"})
    assert (bad.status_code, "store" in bad.text) == (400, True)
    header = await api.ask(
        "POST", "/chat/completions", api.key(), json=BODY, headers={"X-Store": "some"}
    )
    assert (header.status_code, "X-Store" in header.text) == (400, True)
    for wrong in ({"store": "some"}, {"retention_days": 0}, {"retention_days": "7"}):
        answer = await api.ask("PATCH", "/workspaces/ws_default", json=wrong)
        assert answer.status_code in (400, 404)


async def test_an_owner_has_a_workspaces_data_forgotten(api):
    own = api.workspace()
    manager = api.manager(own)
    assert (await api.ask("DELETE", f"/workspaces/{own}/data")).status_code == 202
    audit = (await api.ask("GET", "/audit", params={"action": "workspaces.forget"})).json()["data"]
    assert [each["object_id"] for each in audit] == [own]
    assert (await api.ask("DELETE", f"/workspaces/{own}/data", api.key(own))).status_code == 403
    stranger = api.manager(api.workspace("other"))
    assert (await api.ask("DELETE", f"/workspaces/{own}/data", stranger)).status_code == 404
    assert manager
