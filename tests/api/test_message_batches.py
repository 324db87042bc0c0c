"""Message Batches in a process without a worker: a batch stays open."""

from typing import Any

import pytest

from tests.api.conftest import Api

PARAMS = {"model": "acme/small", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
PATH = "/messages/batches"


async def make(api: Api, key: str) -> dict[str, Any]:
    requests = [{"custom_id": "a", "params": PARAMS}, {"custom_id": "b", "params": PARAMS}]
    made = await api.ask("POST", PATH, key, json={"requests": requests})
    assert made.status_code == 200, made.text
    shown: dict[str, Any] = made.json()
    return shown


async def test_a_new_batch_is_processed(api: Api) -> None:
    key = api.key()
    batch = await make(api, key)
    assert batch["request_counts"]["processing"] == 2
    assert batch["results_url"] is None
    assert (await api.ask("GET", f"{PATH}/{batch['id']}", key)).json() == batch


async def test_results_come_at_the_end(api: Api) -> None:
    key = api.key()
    batch = await make(api, key)
    refused = await api.ask("GET", f"{PATH}/{batch['id']}/results", key)
    assert refused.status_code == 400
    assert refused.json()["error"]["type"] == "invalid_request_error"


async def test_only_batches_of_messages_are_listed(api: Api) -> None:
    key = api.key(api.workspace())
    first, second = await make(api, key), await make(api, key)
    line = {"custom_id": "a", "body": {"model": "acme/small", "messages": PARAMS["messages"]}}
    metadata = {"dialect": "messages"}
    other = await api.ask("POST", "/batches", key, json={"requests": [line], "metadata": metadata})
    page = (await api.ask("GET", f"{PATH}?limit=1", key)).json()
    assert ([each["id"] for each in page["data"]], page["has_more"]) == ([second["id"]], True)
    rest = (await api.ask("GET", f"{PATH}?after_id={page['last_id']}", key)).json()
    assert ([each["id"] for each in rest["data"]], rest["has_more"]) == ([first["id"]], False)
    own_id = f"msg{other.json()['id']}"
    assert (await api.ask("GET", f"{PATH}/{own_id}", key)).status_code == 404


async def test_another_workspace_sees_nothing(api: Api) -> None:
    batch = await make(api, api.key())
    answer = await api.ask("GET", f"{PATH}/{batch['id']}", api.key(api.workspace()))
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"


async def test_a_batch_needs_requests(api: Api) -> None:
    for body in ({}, {"requests": []}, {"requests": "x"}):
        refused = await api.ask("POST", PATH, api.key(), json=body)
        assert refused.status_code == 400, refused.text
        assert refused.json()["error"]["param"] == "requests"


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([{"custom_id": "a"}], "requests.0.params"),
        ([{"custom_id": "", "params": PARAMS}], "requests.0.custom_id"),
        ([1], "requests.0.custom_id"),
        ([{"custom_id": "a", "params": PARAMS}] * 2, "requests.1.custom_id"),
    ],
)
async def test_a_batch_of_which_nothing_would_run_is_refused(
    api: Api, requests: list[Any], field: str
) -> None:
    refused = await api.ask("POST", PATH, api.key(), json={"requests": requests})
    assert refused.status_code == 400, refused.text
    error = refused.json()["error"]
    assert (error["param"], error["message"].partition(":")[0]) == (field, field)
