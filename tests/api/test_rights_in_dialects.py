"""A key may do no more by the routes of a dialect than by others, and sees its own answers only."""

import pytest

from broker.clock import now_ms
from broker.dialects.responses.ids import item_id
from tests.factories import claim_one, finished, record

RESPONSE = {"model": "acme/small", "input": "hi"}
MESSAGE = {"model": "acme/small", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def complete(api, job_id):
    record(api.database, finished(claim_one(api.database, job_id, now=now_ms())))


async def test_an_item_of_another_key_is_unknown(api):
    owner, other = api.key(), api.key(scopes="[]")
    made = await api.ask("POST", "/responses", owner, json=RESPONSE | {"background": True})
    job_id = made.json()["id"].replace("resp_", "job_")
    complete(api, job_id)
    reference = {"type": "item_reference", "id": item_id("msg", job_id, 1, 0)}
    body = RESPONSE | {"input": [{"role": "user", "content": "hi"}, reference]}
    counted = await api.ask("POST", "/responses/input_tokens", owner, json=body)
    assert counted.status_code == 200, counted.text
    refused = await api.ask("POST", "/responses/input_tokens", other, json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input.1.id")
    assert job_id not in refused.text


@pytest.mark.parametrize(
    ("path", "body"),
    [("/responses/input_tokens", RESPONSE), ("/messages/count_tokens", MESSAGE)],
)
async def test_tokens_are_counted_for_callers_and_models_of_a_call_only(api, path, body):
    assert (await api.ask("POST", path, api.key(), json=body)).status_code == 200
    assert (await api.ask("POST", path, api.manager(), json=body)).status_code == 403
    unknown = await api.ask("POST", path, api.key(), json=body | {"model": "no/such"})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, "model")


async def test_a_message_of_another_key_is_unknown(api):
    headers = {"Prefer": "respond-async"}
    made = await api.ask("POST", "/messages", api.key(), json=MESSAGE, headers=headers)
    message_id = made.json()["id"].replace("job_", "msg_")
    refused = await api.ask("GET", f"/messages/{message_id}", api.key(scopes="[]"))
    assert refused.status_code == 404
    assert refused.json()["error"]["message"] == f"There is no message {message_id}."
