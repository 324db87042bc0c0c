"""Attack: add members by e-mail to learn who has an account."""

import pytest

from broker.accounts import users

KNOWN, UNKNOWN = "ada@example.com", "nobody@example.com"


def add(api, key, *people):
    path = f"/workspaces/{api.place}/members/add"
    return api.ask("POST", path, key, json={"user_ids": people, "role": "member"})


@pytest.fixture
def known(api):
    """A user who is in no workspace of the administrator's; returns the id."""
    api.place = api.workspace()
    with api.database.transaction() as connection:
        return users.create_user(connection, KNOWN, "Ada")


@pytest.mark.parametrize("written", [str, str.upper])
async def test_known_and_unknown_addresses_are_answered_alike(api, known, written):
    manager = api.manager(api.place)
    answers = [await add(api, manager, written(each)) for each in (KNOWN, UNKNOWN)]
    told = [answer.json()["error"] for answer in answers]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert told[0]["message"] == told[1]["message"]
    listed = await api.ask("GET", f"/workspaces/{api.place}/members", manager)
    assert listed.json()["total_count"] == 0


async def test_ids_and_the_installations_own_keys_still_add(api, known):
    assert (await add(api, api.manager(api.place), known)).status_code == 200
    assert (await add(api, api.operator, KNOWN)).status_code == 200
    listed = await api.ask("GET", f"/workspaces/{api.place}/members", api.operator)
    assert [each["user_id"] for each in listed.json()["data"]] == [known]
