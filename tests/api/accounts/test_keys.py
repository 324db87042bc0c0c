"""Keys as an administrator handles them, and as they open or do not open doors."""

import asyncio
import contextlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from api.core.auth import Keyring
from broker.accounts import DEFAULT_WORKSPACE, CallerKind, Role, authenticate, users
from broker.accounts import users as members
from broker.clock import now_ms
from tests.api.conftest import Api

CHAT = {"model": "acme/small", "messages": [{"role": "user", "content": "hi"}]}


async def make(api: Api, **body):
    answer = await api.ask("POST", "/keys", json={"name": "ci", **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def submit(api: Api, key: str, **body):
    return await api.ask("POST", "/jobs", key, json={"body": {**CHAT, **body}})


async def test_a_key_is_shown_once_and_works(api):
    made = await make(api, limit=25, limit_reset="weekly")
    assert re.fullmatch(r"sk-wb-v1-[0-9A-Za-z]{49}", made["key"])
    shown = (await api.ask("GET", f"/keys/{made['data']['hash']}")).text
    assert made["key"] not in shown
    assert made["data"]["limit_remaining"] == 25
    assert (await submit(api, made["key"])).status_code == 202


async def test_a_key_knows_itself_without_any_administrator(api):
    made = await make(api, limit=25, limit_reset="daily", requests_per_minute=60)
    told = (await api.ask("GET", "/key", made["key"])).json()["data"]
    assert (told["limit"], told["limit_reset"], told["limit_remaining"]) == (25, "daily", 25)
    assert told["requests_per_minute"] == 60
    assert (told["is_management_key"], told["usage"], told["usage_monthly"]) == (False, 0, 0)
    own = (await api.ask("GET", "/key")).json()["data"]
    assert own["is_management_key"]


async def test_the_two_kinds_of_key_do_not_stand_in_for_each_other(api):
    inference = api.key()
    for method, path in (("GET", "/keys"), ("POST", "/keys"), ("GET", "/workspaces"),
                         ("GET", "/audit")):  # fmt: skip
        refused = await api.ask(method, path, inference, json={"name": "x"})
        assert refused.status_code == 403
    refused = await submit(api, api.manager())
    assert refused.status_code == 403
    assert "inference key" in refused.json()["detail"]


@pytest.mark.parametrize(
    "change",
    [
        {"disabled": True},
        {"expires_at": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()},
        None,  # deleted
    ],
)
async def test_a_key_that_is_closed_stops_within_a_second_in_every_process(api, change):
    # Given a key in constant use in two processes: a second keyring stands for the second
    made = await make(api)
    other = Keyring(api.database)
    other.start()
    doors = (api.app.state.services.keyring, other)
    for door in doors:
        await door._find(made["key"])
    # When it is closed
    path = f"/keys/{made['data']['hash']}"
    await (api.ask("PATCH", path, json=change) if change else api.ask("DELETE", path))
    # Then a second later neither opens, though both were asked all the time
    for _ in range(10):
        await asyncio.sleep(0.1)
        for door in doors:
            with contextlib.suppress(Exception):
                await door._find(made["key"])
    for door in doors:
        assert not await opens(door, made["key"])
    await other.close()


async def opens(door, key):
    try:
        known = await door._find(key)
    except Exception:
        return False
    return not known.disabled and not known.is_expired(now_ms())


async def test_a_key_in_use_is_checked_without_the_database(api):
    key = api.key()
    await api.ask("GET", "/jobs", key)
    door = api.app.state.services.keyring
    asked = []
    event.listen(api.database.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    for _ in range(200):
        await door._find(key)
    assert asked == []


async def test_a_full_keyring_forgets_one_key_not_all(api, monkeypatch):
    monkeypatch.setattr("api.core.auth.MAX_KEYS", 2)
    door = Keyring(api.database)
    for key in (api.key(), second := api.key(), third := api.key()):
        await door._find(key)
    asked = []
    event.listen(api.database.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    for key in (second, third):
        await door._find(key)
    assert asked == []


async def test_a_typing_error_is_told_before_any_look_up(api):
    made = await make(api)
    asked = []
    event.listen(api.database.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    letter = "a" if made["key"][-1] != "a" else "b"
    refused = await api.ask("GET", "/key", made["key"][:-1] + letter)
    assert refused.status_code == 401
    assert "mistyped" in refused.json()["error"]["message"]
    assert not [statement for statement in asked if "api_keys" in statement]


async def test_an_expired_and_a_disabled_key_are_told_apart(api):
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    for body, word in (({"expires_at": past}, "expired"), ({"disabled": True}, "disabled")):
        made = await make(api)
        await api.ask("PATCH", f"/keys/{made['data']['hash']}", json=body)
        refused = await api.ask("GET", "/key", made["key"])
        assert refused.status_code == 401
        assert word in refused.json()["error"]["message"]


async def test_last_use_is_written_by_the_minute_not_by_the_request(api):
    made = await make(api)
    await api.ask("GET", "/key", made["key"])
    path = f"/keys/{made['data']['hash']}"
    assert (await api.ask("GET", path)).json()["data"]["last_used_at"] is None
    await api.app.state.services.keyring._record_use()
    assert (await api.ask("GET", path)).json()["data"]["last_used_at"] is not None


async def test_a_change_touches_only_what_it_names_and_null_takes_away(api):
    made = await make(api, limit=5, limit_reset="daily", allowed_models=["acme/*"])
    path = f"/keys/{made['data']['hash']}"
    renamed = (await api.ask("PATCH", path, json={"name": "new"})).json()["data"]
    assert (renamed["name"], renamed["limit"], renamed["allowed_models"]) == ("new", 5, ["acme/*"])
    opened = (await api.ask("PATCH", path, json={"limit": None})).json()["data"]
    assert (opened["limit"], opened["limit_remaining"]) == (None, None)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x", "limit": -1}, "limit"),
        ({"name": "x", "limit": "5"}, "limit"),
        ({"name": "x", "limit_reset": "hourly"}, "limit_reset"),
        ({"name": "x", "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "x", "expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "requests_per_minute": 0}, "requests_per_minute"),
        ({"name": "x", "allowed_models": "acme/*"}, "allowed_models"),
        ({"name": "x", "colour": "red"}, "colour"),
        ({"name": "x", "everywhere": True}, "everywhere"),
        ({"name": "x", "kind": "management", "limit": 5}, "limit"),
    ],
)
async def test_a_wrong_wish_names_its_field_and_makes_nothing(api, body, param):
    before = (await api.ask("GET", "/keys")).json()
    refused = await api.ask("POST", "/keys", json=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param
    assert (await api.ask("GET", "/keys")).json() == before


async def test_lists_hide_disabled_keys_unless_asked(api):
    made = await make(api, disabled=True)
    hashes = {each["hash"] for each in (await api.ask("GET", "/keys")).json()["data"]}
    assert made["data"]["hash"] not in hashes
    answer = await api.ask("GET", "/keys", params={"include_disabled": True})
    assert made["data"]["hash"] in {each["hash"] for each in answer.json()["data"]}


async def test_a_workspace_key_makes_no_key_of_the_installation(api):
    manager = api.manager(api.workspace())
    body = {"name": "x", "kind": "management", "everywhere": True}
    assert (await api.ask("POST", "/keys", manager, json=body)).status_code == 403


async def test_allowed_models_and_providers_are_hard_and_say_so(api):
    narrow = api.key(allowed_models='["acme/*"]')
    assert (await submit(api, narrow)).status_code == 202
    refused = await submit(api, narrow, model="other/big")
    assert refused.status_code == 403
    assert refused.json()["allowed_models"] == ["acme/*"]
    # A fallback that is not allowed is passed over, not an error
    both = await submit(api, narrow, model="other/big", models=["acme/small"])
    assert both.json()["model"] == "acme/small"
    bound = api.key(allowed_providers='["spare"]')
    assert (await submit(api, bound, model="other/big")).status_code == 202
    refused = await submit(api, bound)
    assert refused.status_code == 404
    assert refused.json()["availability"]["excluded_by"] == ["allowed_providers"]


async def test_keys_without_a_checksum_go_on_working(api):
    old = api.key(key="sk-wb-the-owner-chose-this-one")
    assert (await api.ask("GET", "/key", old)).status_code == 200


async def test_whoever_has_no_key_at_all_is_told_how_to_send_one(api):
    refused = await api.http.get("/api/v1/key")
    assert refused.status_code == 401
    assert refused.json()["error"]["param"] == "Authorization"


async def test_every_change_is_noted_without_secrets(api):
    made = await make(api, limit=5)
    path = f"/keys/{made['data']['hash']}"
    await api.ask("PATCH", path, json={"limit": 9, "name": "ci"})
    await api.ask("DELETE", path)
    answer = await api.ask("GET", "/audit", params={"object_id": made["data"]["id"]})
    deleted, changed, created = answer.json()["data"]
    assert [each["action"] for each in (created, changed, deleted)] == [
        "keys.create", "keys.update", "keys.delete",
    ]  # fmt: skip
    assert changed["before"] == {"limit_nanos": 5_000_000_000}
    assert changed["after"] == {"limit_nanos": 9_000_000_000}
    assert {each["address"] for each in (created, changed, deleted)} == {"203.0.113.7"}
    operator = api.database.read_now(authenticate, api.operator)
    assert {each["actor"] for each in (created, changed)} == {operator.api_key_id}
    assert made["key"] not in answer.text
    assert made["data"]["hash"] not in answer.text


async def test_a_change_and_its_entry_are_written_together_or_not_at_all(api, monkeypatch):
    made = await make(api)
    monkeypatch.setattr("broker.accounts.audit.record", broken)
    path = f"/keys/{made['data']['hash']}"
    assert (await api.ask("PATCH", path, json={"name": "unnoted"})).status_code == 500
    assert (await api.ask("GET", path)).json()["data"]["name"] == "ci"


def broken(*_):
    raise RuntimeError("no pen")


def test_the_kinds_are_openrouters():
    assert {CallerKind.INFERENCE, CallerKind.MANAGEMENT} < set(CallerKind)


async def test_a_key_is_told_the_budgets_that_apply_to_it_and_which_is_tightest(api):
    workspace_id = api.workspace()
    manager, other = api.manager(workspace_id), api.key(workspace_id)
    made = (await api.ask("POST", "/keys", manager, json={"name": "ci"})).json()
    path = f"/workspaces/{workspace_id}/budgets"
    mine = {"scope": "key", "subject_id": made["data"]["id"]}
    await api.ask("PUT", f"{path}/monthly", manager, json={"limit_usd": 100})
    await api.ask("PUT", f"{path}/daily", manager, json={"limit_usd": 2}, params=mine)
    soft = {"limit_usd": 1, "soft": True}
    await api.ask("PUT", f"{path}/weekly", manager, json=soft, params=mine)
    told = (await api.ask("GET", "/key", made["key"])).json()["data"]
    assert {each["limit_usd"] for each in told["budgets"]} == {100, 2, 1}
    effective = told["effective_budget"]
    assert (effective["scope"], effective["remaining_usd"]) == ("key", 2)
    shown = (await api.ask("GET", f"/keys/{made['data']['hash']}", manager)).json()["data"]
    assert shown["effective_budget"] == effective
    [of_workspace] = (await api.ask("GET", "/key", other)).json()["data"]["budgets"]
    assert of_workspace["limit_usd"] == 100
    listed = (await api.ask("GET", "/keys", manager)).json()["data"]
    assert {len(each["budgets"]) for each in listed} == {1, 3}


async def test_a_disabled_users_management_keys_stop_and_the_workspaces_keys_go_on(api):
    with api.database.transaction() as connection:
        user_id = users.create_user(connection, "ada@example.com", "Ada")
        members.add_member(connection, DEFAULT_WORKSPACE, user_id, Role.ADMIN)
    manager = api.key(kind=CallerKind.MANAGEMENT, created_by=user_id)
    inference = api.key(created_by=user_id)
    assert (await api.ask("GET", "/keys", manager)).status_code == 200
    await api.ask("PATCH", f"/users/{user_id}", json={"disabled": True})
    api.app.state.services.keyring._known.clear()
    assert (await api.ask("GET", "/keys", manager)).status_code == 401
    assert (await submit(api, inference)).status_code == 202
    await api.ask("PATCH", f"/users/{user_id}", json={"disabled": False})
    api.app.state.services.keyring._known.clear()
    assert (await api.ask("GET", "/keys", manager)).status_code == 200
