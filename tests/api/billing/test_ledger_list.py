"""GET /credits/ledger: pages, newest first, of the caller's workspace only."""

import pytest

from broker.accounts import DEFAULT_WORKSPACE
from broker.billing import ledger

CHAT = {"model": "acme/small", "messages": [{"role": "user", "content": "hi"}]}
LATER = {"Prefer": "respond-async"}


async def pay(api, count, workspace_id=DEFAULT_WORKSPACE, *, start=0):
    for number in range(start, start + count):
        payment = {"workspace_id": workspace_id, "amount": 5, "reference": f"inv-{number}"}
        assert (await api.ask("POST", "/credits", json=payment)).status_code == 201


def chain(api):
    with api.database.transaction() as connection:
        ledger.chain_entries(connection)


async def read_all(api, key=None, limit=2):
    found, after = [], {}
    while True:
        query = {"limit": limit, **after}
        page = (await api.ask("GET", "/credits/ledger", key, params=query)).json()
        found += page["data"]
        if not page["has_more"]:
            return found
        after = {"after": page["last_id"]}


@pytest.mark.parametrize("chained", [0, 2, 5])
async def test_pages_go_back_through_new_and_chained_entries(api, chained):
    await pay(api, chained)
    chain(api)
    await pay(api, 5 - chained, start=chained)
    entries = await read_all(api)
    assert [each["reference"] for each in entries] == [
        f"inv-{number}" for number in range(4, -1, -1)
    ]
    numbers = [each["sequence"] for each in entries if each["sequence"] is not None]
    assert numbers == list(range(chained, 0, -1))


async def test_entries_that_are_chained_between_two_pages_are_shown_once(api):
    await pay(api, 5)
    first = (await api.ask("GET", "/credits/ledger", params={"limit": 2})).json()
    chain(api)
    query = {"limit": 100, "after": first["last_id"]}
    rest = (await api.ask("GET", "/credits/ledger", params=query)).json()
    shown = [each["reference"] for each in first["data"] + rest["data"]]
    assert shown == ["inv-4", "inv-3", "inv-2", "inv-1", "inv-0"]


async def test_a_job_has_its_hold(api):
    answer = await api.ask("POST", "/chat/completions", api.key(), json=CHAT, headers=LATER)
    [hold] = await read_all(api)
    assert (hold["kind"], hold["job_id"]) == ("hold", answer.headers["x-job-id"])
    assert hold["amount"] == -hold["held"] < 0


async def test_nobody_reads_the_ledger_of_another_workspace(api):
    other = api.workspace("other")
    await pay(api, 2, other)
    [entry, _] = (await api.ask("GET", "/credits/ledger", params={"workspace_id": other})).json()[
        "data"
    ]
    manager = api.manager()
    assert await read_all(api, manager) == []
    stolen = await api.ask("GET", "/credits/ledger", manager, params={"workspace_id": other})
    assert stolen.status_code == 404
    cursor = await api.ask("GET", "/credits/ledger", manager, params={"after": entry["id"]})
    assert (cursor.status_code, cursor.json()["error"]["param"]) == (400, "after")
    assert (await api.ask("GET", "/credits/ledger", api.key())).status_code == 403
