"""An app asks for more than it says, or is given more than the page showed."""

import pytest

from broker.accounts import DEFAULT_WORKSPACE, Role, sessions, users
from broker.accounts import users as members

CALLBACK = "https://app.example.com/done"


@pytest.fixture
def browser(api):
    """A browser in which a member of the workspace is signed in."""
    with api.database.transaction() as connection:
        user_id = users.create_user(connection, "ada@example.com", "Ada")
        members.add_member(connection, DEFAULT_WORKSPACE, user_id, Role.MEMBER)
        api.http.cookies.set("waybill_session", sessions.open_session(connection, user_id))
    return api.http


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ("", ["only its own prompts"]),
        ("jobs", ["all prompts and answers"]),
        ("files webhooks", ["only its own prompts", "all files", "read their secrets"]),
        ("presets", ["only its own prompts", "presets"]),
    ],
)
async def test_the_page_lists_what_the_key_will_have(api, browser, scope, told):
    asked = {"callback_url": CALLBACK} | ({"scope": scope} if scope else {})
    page = await browser.get("/auth", params=asked)
    for each in told:
        assert each in page.text
    token = page.text.partition('name="form_token" value="')[2].partition('"')[0]
    form = {"form_token": token.replace("&amp;", "&"), "decision": "allow", **asked}
    sent = (await browser.post("/auth", data=form)).headers["location"]
    code = {"code": sent.partition("code=")[2]}
    key = (await browser.post("/api/v1/auth/keys", json=code)).json()["key"]
    assert (await api.ask("GET", "/key", key)).json()["data"]["scopes"] == sorted(scope.split())


async def test_a_scope_that_is_not_known_is_refused(browser):
    page = await browser.get("/auth", params={"callback_url": CALLBACK, "scope": "everything"})
    assert "is no scope" in page.text
