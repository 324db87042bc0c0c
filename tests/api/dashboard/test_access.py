"""Access to the dashboard by role. The API decides; the pages show what it allows."""

import pytest
from sqlalchemy import insert

from api.dashboard.core import visitors
from broker.accounts import DEFAULT_WORKSPACE, Role
from broker.accounts import users as members
from broker.clock import now_ms
from broker.storage.tables import UsageRollup
from tests.api.visitors import make_user, sign_in, token_of

CHAT = {"model": "acme/small", "messages": [{"role": "user", "content": "Hello"}]}
OURS = {"Sec-Fetch-Site": "same-origin", "Prefer": "respond-async"}
PAGES = ("", "/playground", "/models", "/models/acme/small", "/jobs")


def membership(api, user_id, workspace_id, role):
    with api.database.transaction() as connection:
        members.add_member(connection, workspace_id, user_id, role)


def add_usage(connection, workspace_id, model):
    """Write the usage of one call of this hour."""
    rollups = UsageRollup.__table__
    hour = now_ms() // 3_600_000 * 3_600_000
    texts = {"api_key_id": "key_x", "model": model, "provider": "sim", "app": "", "end_user": ""}
    numbers = {
        column.name: 1
        for column in rollups.columns
        if column.name not in (*texts, "workspace_id", "period", "starts_at")
    }
    row = {"workspace_id": workspace_id, "period": "hour", "starts_at": hour}
    connection.execute(insert(rollups).values(row | texts | numbers))


async def run(browser, **headers):
    return await browser.post("/api/v1/chat/completions", json=CHAT, headers={**OURS, **headers})


@pytest.mark.parametrize("page", [*PAGES, "/keys", "/jobs/job_x"])
async def test_strangers_are_sent_to_sign_in_and_come_back(browser, page):
    answer = await browser.get(f"/w/default{page}")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?next=%2Fw%2Fdefault")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER, Role.ADMIN])
async def test_each_role_sees_the_pages(api, browser, role):
    make_user(api, role=role)
    await sign_in(browser)
    for page in PAGES:
        answer = await browser.get(f"/w/default{page}")
        assert answer.status_code == 200, answer.text
        assert 'href="/w/default/keys"' in answer.text or role is not Role.ADMIN
        assert 'href="/w/default/keys"' not in answer.text or role is Role.ADMIN


async def test_the_workspace_of_others_is_not_found(api, browser):
    make_user(api)
    other = api.workspace("secret")
    await sign_in(browser)
    answer = await browser.get(f"/w/{other}/jobs")
    assert answer.status_code == 404
    assert "You are in no workspace" in answer.text


async def test_keys_are_for_administrators(api, browser):
    make_user(api)
    await sign_in(browser)
    page = await browser.get("/w/default/keys")
    assert page.status_code == 403
    assert "needs the role admin" in page.text


async def test_an_administrator_creates_changes_and_deletes_a_key(api, browser):
    make_user(api, role=Role.ADMIN)
    await sign_in(browser)
    page = await browser.get("/w/default/keys")
    fields = {"form_token": token_of(page), "name": "ci", "limit": "5", "allowed_models": "acme/*"}
    made = await browser.post("/w/default/keys", data=fields)
    key = made.text.split('aria-label="The new key">')[1].split("<")[0]
    shown = (await api.ask("GET", "/key", key)).json()["data"]
    assert (shown["name"], shown["limit"], shown["allowed_models"]) == ("ci", 5.0, ["acme/*"])
    assert key not in (await browser.get("/w/default/keys")).text  # it is shown once
    [listed] = [
        each for each in (await api.ask("GET", "/keys")).json()["data"] if each["name"] == "ci"
    ]
    path = f"/w/default/keys/{listed['id']}"
    again = {**fields, "name": "build", "limit": ""}
    assert (await browser.post(path, data=again)).headers["location"] == path
    assert (await api.ask("GET", "/key", key)).json()["data"]["limit"] is None
    token = {"form_token": fields["form_token"]}
    await browser.post(f"{path}/disable", data={**token, "disabled": "true"})
    assert (await api.ask("GET", f"/keys/{listed['id']}")).json()["data"]["disabled"] is True
    await browser.post(f"{path}/delete", data=token)
    assert (await api.ask("GET", f"/keys/{listed['id']}")).status_code == 404


async def test_a_refused_key_says_why_and_keeps_what_was_entered(api, browser):
    make_user(api, role=Role.ADMIN)
    await sign_in(browser)
    page = await browser.get("/w/default/keys")
    fields = {"form_token": token_of(page), "name": "nightly", "limit": "-1"}
    answer = await browser.post("/w/default/keys", data=fields)
    assert answer.status_code == 400
    assert "limit" in answer.text.split('role="alert">')[1].split("<")[0]
    assert 'value="nightly"' in answer.text


async def test_forms_of_other_sites_change_nothing(api, browser):
    make_user(api, role=Role.ADMIN)
    await sign_in(browser)
    answer = await browser.post("/w/default/keys", data={"name": "stolen"})
    assert answer.status_code == 403
    assert (await run(browser, **{"Sec-Fetch-Site": "cross-site"})).status_code == 403
    names = [each["name"] for each in (await api.ask("GET", "/keys")).json()["data"]]
    assert "stolen" not in names


async def test_a_member_runs_jobs_that_count_for_a_key_of_their_own(api, browser):
    user = make_user(api)
    await sign_in(browser)
    answers = [await run(browser) for _ in range(2)]
    assert [each.status_code for each in answers] == [202, 202]
    keys = (await api.ask("GET", "/keys")).json()["data"]
    [own] = [each for each in keys if each["kind"] == "session"]
    assert own["name"] == "Dashboard of ada@example.com"
    assert own["creator_user_id"] == user.id
    listed = await browser.get("/w/default/jobs", params={"api_key_id": own["id"]})
    assert listed.text.count('scope="row"') == 2


async def test_limits_of_the_own_key_hold(api, browser):
    make_user(api)
    await sign_in(browser)
    await run(browser)
    keys = (await api.ask("GET", "/keys")).json()["data"]
    [own] = [each for each in keys if each["kind"] == "session"]
    path = f"/keys/{own['id']}"
    await api.ask("PATCH", path, json={"allowed_models": ["other/*"]})
    refused = await run(browser)
    assert refused.status_code == 403
    assert "may not use acme/small" in refused.text
    await api.ask("PATCH", path, json={"allowed_models": None, "disabled": True})
    refused = await run(browser)
    assert (refused.status_code, "disabled your calls" in refused.text) == (403, True)


async def test_a_viewer_runs_and_changes_nothing(api, browser):
    make_user(api, role=Role.VIEWER)
    await sign_in(browser)
    assert (await run(browser)).status_code == 403
    page = await browser.get("/w/default/playground")
    assert "A viewer runs no jobs." in page.text
    token = {"form_token": token_of(page)}
    assert (await browser.post("/w/default/keys", data=token)).status_code == 403
    keys = (await api.ask("GET", "/keys")).json()["data"]
    assert [each for each in keys if each["kind"] == "session"] == []


async def test_a_demoted_member_is_refused_at_once(api, browser):
    user = make_user(api)
    await sign_in(browser)
    membership(api, user.id, DEFAULT_WORKSPACE, Role.VIEWER)
    assert (await run(browser)).status_code == 403


async def test_a_page_shows_the_usage_of_its_workspace_only(api, browser):
    make_user(api, role=Role.OWNER, is_operator=True)
    other = api.workspace("other")
    with api.database.transaction() as connection:
        for workspace_id, model in ((DEFAULT_WORKSPACE, "ours/model"), (other, "theirs/model")):
            add_usage(connection, workspace_id, model)
    await sign_in(browser)
    page = (await browser.get("/w/default")).text
    assert ("ours/model" in page, "theirs/model" in page) == (True, False)
    page = (await browser.get(f"/w/{other}")).text
    assert ("ours/model" in page, "theirs/model" in page) == (False, True)


async def test_an_operator_reaches_more_workspaces_than_the_menu_has(api, browser, monkeypatch):
    monkeypatch.setattr(visitors, "MOST_PLACES", 1)
    make_user(api, role=Role.OWNER, is_operator=True)
    other = api.workspace("the second")
    await sign_in(browser)
    assert (await browser.get(f"/w/{other}/jobs")).status_code == 200
    assert (await browser.get("/w/nowhere/jobs")).status_code == 404
