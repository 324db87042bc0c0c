"""Somebody demoted, removed or disabled acts with a management key that they made before."""

import pytest

from broker.accounts import CallerKind, Role, users
from broker.accounts import users as members

ACTIONS = (
    ("GET", "/workspaces/{}/members", Role.VIEWER),
    ("POST", "/files", Role.MEMBER),
    ("POST", "/webhooks/secret/rotate", Role.MEMBER),
    ("POST", "/auth/keys/code", Role.MEMBER),
    ("POST", "/keys", Role.ADMIN),
    ("GET", "/keys", Role.ADMIN),
    ("PATCH", "/workspaces/{}", Role.ADMIN),
    ("POST", "/workspaces/{}/members/add", Role.ADMIN),
    ("POST", "/workspaces/{}/members/remove", Role.ADMIN),
    ("POST", "/byok", Role.ADMIN),
    ("GET", "/audit", Role.ADMIN),
    ("DELETE", "/workspaces/{}", Role.OWNER),
)


class Ada:
    """A person in a workspace, with a management key of her own."""

    def __init__(self, api, role=Role.ADMIN, *, operator=False):
        self._api = api
        self.workspace = api.workspace()
        with api.database.transaction() as connection:
            self.id = users.create_user(connection, "ada@example.com", "Ada", is_operator=operator)
            members.add_member(connection, self.workspace, self.id, role)
        self.key = api.key(
            self.workspace, kind=CallerKind.MANAGEMENT, created_by=self.id, everywhere=operator
        )

    async def ask(self, method, path, **details):
        return await self._api.ask(method, path.format(self.workspace), self.key, **details)

    async def promote_herself(self):
        body = {"user_ids": [self.id], "role": "admin"}
        return await self.ask("POST", "/workspaces/{}/members/add", json=body)

    async def becomes(self, role):
        body = {"user_ids": [self.id], "role": role.value}
        path = f"/workspaces/{self.workspace}/members/add"
        assert (await self._api.ask("POST", path, json=body)).status_code == 200


@pytest.mark.parametrize("role", Role)
async def test_a_management_key_may_what_its_maker_may_now(api, role):
    ada = Ada(api)
    assert (await ada.ask("GET", "/keys")).status_code == 200
    if role is not Role.ADMIN:
        await ada.becomes(role)
    for method, path, least in ACTIONS:
        answer = await ada.ask(method, path, json={})
        # no management key of a workspace does what is an owner's
        may = role.reaches(least) and least is not Role.OWNER
        assert (answer.status_code == 403) is not may, (method, path, answer.text)


async def test_a_demoted_administrator_does_not_promote_themselves_back(api):
    ada = Ada(api)
    assert (await ada.promote_herself()).status_code == 200
    await ada.becomes(Role.VIEWER)  # and the key was used a moment ago: no waiting
    assert (await ada.promote_herself()).status_code == 403
    with api.database.transaction() as connection:
        assert members.find_role(connection, ada.workspace, ada.id) is Role.VIEWER


async def test_a_member_who_is_removed_has_no_management_key_any_more(api):
    ada = Ada(api)
    assert (await ada.ask("GET", "/keys")).status_code == 200
    path = f"/workspaces/{ada.workspace}/members/remove"
    removal = await api.ask("POST", path, json={"user_ids": [ada.id]})
    assert removal.status_code == 200
    assert (await ada.promote_herself()).status_code == 401
    await ada.becomes(Role.ADMIN)  # who comes back makes a new one
    assert (await ada.promote_herself()).status_code == 401


async def test_somebody_disabled_does_not_enable_themselves(api):
    ada = Ada(api, operator=True)
    assert (await ada.ask("GET", "/users")).status_code == 200
    await api.ask("PATCH", f"/users/{ada.id}", json={"disabled": True})
    answer = await ada.ask("PATCH", f"/users/{ada.id}", json={"disabled": False})
    assert answer.status_code == 401


async def test_an_operators_key_ends_at_its_workspace_once_they_are_none(api):
    ada = Ada(api, Role.VIEWER, operator=True)
    assert (await ada.ask("GET", "/users")).status_code == 200
    await api.ask("PATCH", f"/users/{ada.id}", json={"is_operator": False})
    assert (await ada.ask("GET", "/users")).status_code == 403
    assert (
        await ada.ask("PATCH", f"/users/{ada.id}", json={"is_operator": True})
    ).status_code == 403
    assert (await ada.promote_herself()).status_code == 403


async def test_nobody_makes_a_management_key_in_anothers_name(api):
    ada = Ada(api)
    with api.database.transaction() as connection:
        owner = users.create_user(connection, "bob@example.com", "Bob")
        members.add_member(connection, ada.workspace, owner, Role.OWNER)
    body = {"name": "spare", "kind": "management", "creator_user_id": owner}
    assert (await ada.ask("POST", "/keys", json=body)).status_code == 403
    inference = body | {"kind": "inference"}
    assert (await ada.ask("POST", "/keys", json=inference)).status_code == 201


async def test_what_a_key_made_is_bound_to_the_same_person(api):
    ada = Ada(api)
    body = {"name": "spare", "kind": "management"}
    made = (await ada.ask("POST", "/keys", json=body)).json()
    await ada.becomes(Role.VIEWER)
    ada.key = made["key"]
    assert (await ada.promote_herself()).status_code == 403
