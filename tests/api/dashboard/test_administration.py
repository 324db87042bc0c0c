"""Pages of what people administer: each change is seen by the API, and refusals keep the input."""

import re

import pytest

from broker.accounts import Role
from tests.api.visitors import make_user, sign_in, token_of

HOME = "/w/default"


@pytest.fixture
async def owner(api, browser):
    """An operator, who owns the default workspace."""
    make_user(api, role=Role.OWNER, is_operator=True)
    await sign_in(browser)
    return browser


async def fill(browser, page, path=None, **fields):
    """Send a form of a page as the browser does; return the answer."""
    token = token_of(await browser.get(HOME + page))
    return await browser.post(HOME + (path or page), data={"form_token": token, **fields})


def main_of(answer):
    """Return the content of a page, without its navigation."""
    return answer.text.split("<main")[1]


def refusal_of(answer):
    return answer.text.split('role="alert">')[1].split("<")[0]


async def listed(api, path, **query):
    return (await api.ask("GET", path, params=query)).json()["data"]


async def test_an_operator_invites_a_member_with_a_link_that_is_shown_once(api, owner):
    answer = await fill(
        owner, "/members", "/members/invite", email="bob@example.com", name="Bob", role="viewer"
    )
    link = re.search(r'aria-label="The link">([^<]+)<', answer.text)[1]
    assert (await owner.get(link)).status_code == 200
    assert "welcome?token" not in (await owner.get(f"{HOME}/members")).text
    roles = {
        each["email"]: each["role"] for each in await listed(api, "/workspaces/default/members")
    }
    assert roles == {"ada@example.com": "owner", "bob@example.com": "viewer"}


async def test_a_refused_invitation_keeps_what_was_entered(owner):
    answer = await fill(
        owner, "/members", "/members/invite", form="invite", email="ada@example.com", name="Grace"
    )
    assert answer.status_code == 409
    assert "ada@example.com is a user already" in refusal_of(answer)
    assert 'value="Grace"' in answer.text


async def test_roles_change_and_members_leave(api, owner):
    bob = make_user(api, "bob@example.com")
    await fill(owner, "/members", "/members/add", user=bob.id, role="admin")
    members = await listed(api, "/workspaces/default/members")
    assert [each["role"] for each in members if each["user_id"] == bob.id] == ["admin"]
    await fill(owner, "/members", "/members/remove", user=bob.id)
    members = await listed(api, "/workspaces/default/members")
    assert bob.id not in [each["user_id"] for each in members]


async def test_the_last_owner_stays(api, owner):
    [ada] = await listed(api, "/workspaces/default/members")
    answer = await fill(owner, "/members", "/members/remove", user=ada["user_id"])
    assert answer.status_code == 400
    assert "last owner" in refusal_of(answer)


async def test_users_are_disabled_and_get_links(api, owner):
    bob = make_user(api, "bob@example.com")
    await fill(owner, "/users", f"/users/{bob.id}/change", change="disable")
    assert (await listed(api, f"/users/{bob.id}"))["disabled"] is True
    await fill(owner, "/users", f"/users/{bob.id}/change", change="enable")
    answer = await fill(owner, "/users", f"/users/{bob.id}/link", label="bob@example.com")
    assert 'aria-label="The link">' in answer.text
    answer = await fill(owner, "/users", email="no address", name="Grace")
    assert (answer.status_code, 'value="Grace"' in answer.text) == (400, True)


async def test_a_budget_is_made_changed_and_deleted(api, owner):
    made = {"subject": "workspace", "period": "daily", "limit_usd": "5"}
    await fill(owner, "/budgets", **made)
    await fill(owner, "/budgets", **made | {"limit_usd": "7.5", "soft": "on"})
    [budget] = await listed(api, "/workspaces/default/budgets")
    assert (budget["limit_usd"], budget["soft"]) == (7.5, True)
    page = await owner.get(f"{HOME}/budgets", params={"edit": budget["id"]})
    assert 'value="7.5"' in page.text
    await fill(owner, "/budgets", "/budgets/delete", **made)
    assert await listed(api, "/workspaces/default/budgets") == []


async def test_a_budget_of_a_member_and_of_a_key(api, owner):
    [ada] = await listed(api, "/workspaces/default/members")
    key = (await api.ask("POST", "/keys", json={"name": "nightly"})).json()["data"]
    for subject in (f"member:{ada['user_id']}", f"key:{key['id']}"):
        await fill(owner, "/budgets", subject=subject, period="lifetime", limit_usd="1")
    scopes = [each["scope"] for each in await listed(api, "/workspaces/default/budgets")]
    assert sorted(scopes) == ["key", "member"]
    page = await owner.get(f"{HOME}/budgets")
    assert "member ada@example.com" in page.text
    assert "key nightly" in page.text


@pytest.mark.parametrize("limit", ["-1", "much"])
async def test_a_refused_budget_keeps_what_was_entered(owner, limit):
    answer = await fill(owner, "/budgets", subject="workspace", period="weekly", limit_usd=limit)
    assert answer.status_code == 400
    assert "limit_usd" in refusal_of(answer)
    assert f'value="{limit}"' in answer.text
    assert '<option value="weekly" selected>' in answer.text


async def test_a_provider_key_is_stored_changed_and_never_shown(api, owner):
    await fill(
        owner, "/provider-keys", provider="anthropic", key="sk-ant-secret", name="prod",
        is_required="on",
    )  # fmt: skip
    [key] = await listed(api, "/byok")
    assert (key["provider"], key["name"], key["is_required"]) == ("anthropic", "prod", True)
    path = f"/provider-keys/{key['id']}"
    await fill(owner, path, name="prod", allowed_models="acme/*")
    [key] = await listed(api, "/byok")
    assert (key["is_required"], key["allowed_models"]) == (False, ["acme/*"])
    await fill(owner, path, f"{path}/disable", disabled="true")
    [key] = await listed(api, "/byok")
    assert key["disabled"] is True
    for page in ("/provider-keys", path):
        assert "sk-ant-secret" not in (await owner.get(HOME + page)).text
    await fill(owner, path, f"{path}/delete")
    assert await listed(api, "/byok") == []


async def test_a_refused_provider_key_keeps_what_was_entered_but_the_key(owner):
    answer = await fill(owner, "/provider-keys", provider="nobody", key="sk-hush", name="prod")
    assert answer.status_code == 400
    assert "nobody" in refusal_of(answer)
    assert 'value="prod"' in answer.text
    assert "sk-hush" not in answer.text


async def test_a_preset_has_versions_of_which_calls_use_one(api, owner):
    fields = {"model": "acme/small", "system": "Be brief.", "temperature": "0.2"}
    await fill(owner, "/presets", slug="brief", **fields)
    await fill(owner, "/presets/brief", **fields | {"more": '{"seed": 7}'})
    preset = await listed(api, "/presets/brief")
    version = preset["designated_version"]
    assert version["config"] == {"model": "acme/small", "temperature": 0.2, "seed": 7}
    assert (version["version"], version["system_prompt"]) == (2, "Be brief.")
    await fill(owner, "/presets/brief", "/presets/brief/version", version="1")
    preset = await listed(api, "/presets/brief")
    assert preset["designated_version"]["version"] == 1
    await fill(owner, "/presets/brief", "/presets/brief/delete")
    assert await listed(api, "/presets") == []


async def test_a_preset_may_be_a_system_prompt_alone(api, owner):
    await fill(owner, "/presets", slug="brief", system="Be brief.")
    page = await owner.get(f"{HOME}/presets/brief")
    assert page.status_code == 200
    assert "any model" in page.text


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"slug": "Not A Slug", "model": "acme/small"}, "slug"),
        ({"slug": "brief", "more": "{"}, "more"),
        ({"slug": "brief", "more": "[]"}, "more"),
        ({"slug": "brief", "model": "acme/small", "temperature": "hot"}, "temperature"),
    ],
)
async def test_a_refused_preset_keeps_what_was_entered(owner, fields, why):
    answer = await fill(owner, "/presets", **{"system": "Be brief.", **fields})
    assert answer.status_code == 400
    assert why in refusal_of(answer)
    assert "Be brief.</textarea>" in answer.text


async def test_settings_of_the_workspace_change(api, owner):
    await fill(owner, "/settings", part="privacy", store="result_only", retention_days="30")
    await fill(owner, "/settings", part="limits", requests_per_minute="600", unlimited="on")
    name = {"part": "name", "name": "Research", "slug": "research", "description": "Our own."}
    answer = await fill(owner, "/settings", **name)
    assert answer.headers["location"] == "/w/research/settings"
    shown = await listed(api, "/workspaces/research")
    assert (shown["store"], shown["retention_days"]) == ("result_only", 30)
    assert (shown["requests_per_minute"], shown["unlimited"]) == (600, True)
    assert (shown["name"], shown["description"]) == ("Research", "Our own.")


async def test_refused_settings_keep_what_was_entered(api, owner):
    answer = await fill(owner, "/settings", part="privacy", store="none", retention_days="0")
    assert answer.status_code == 400
    assert "retention_days" in refusal_of(answer)
    assert '<option value="none" selected>' in answer.text
    assert (await listed(api, "/workspaces/default"))["store"] is None


async def test_data_and_workspaces_are_deleted_by_their_owner(api, owner):
    answer = await fill(owner, "/settings", "/settings/new-workspace", new_name="Trial")
    assert answer.headers["location"] == "/w/trial/members"
    page = await owner.get("/w/trial/settings")
    token = {"form_token": token_of(page)}
    await owner.post("/w/trial/settings/delete-data", data=token)
    entries = await listed(api, "/audit", action="workspaces.forget")
    assert len(entries) == 1
    wrong = {**token, "confirmed_name": "trial"}
    answer = await owner.post("/w/trial/settings/delete-workspace", data=wrong)
    assert "Type the name" in refusal_of(answer)
    await owner.post(
        "/w/trial/settings/delete-workspace", data={**token, "confirmed_name": "Trial"}
    )
    assert (await api.ask("GET", "/workspaces/trial")).status_code == 404


async def test_the_audit_log_shows_changes_by_filters(api, owner):
    await fill(owner, "/budgets", subject="workspace", period="daily", limit_usd="5")
    await fill(owner, "/settings", part="privacy", store="none")
    page = (await owner.get(f"{HOME}/audit")).text
    assert "budgets.put" in page
    assert "workspaces.update" in page
    page = (await owner.get(f"{HOME}/audit?action=budgets")).text
    assert ("budgets.put" in page, "workspaces.update" in page) == (True, False)
    page = (await owner.get(f"{HOME}/audit?until=2000-01-01")).text
    assert "No entry fits" in page
    assert (await owner.get(f"{HOME}/audit?since=yesterday")).status_code == 400


async def test_the_audit_log_of_the_installation_is_for_operators(api, browser):
    other = api.workspace("secret")
    await api.ask("PATCH", f"/workspaces/{other}", json={"description": "hush"})
    make_user(api, role=Role.ADMIN)
    await sign_in(browser)
    page = (await browser.get(f"{HOME}/audit?reach=all")).text
    assert "hush" not in page


async def test_an_operator_pauses_a_provider_and_resumes_it(api, owner):
    await fill(owner, "/providers/sim", "/providers/sim/pause", reason="an outage there")
    states = {each["slug"]: each for each in await listed(api, "/providers/configuration")}
    assert states["sim"]["pause"]["reason"] == "an outage there"
    assert states["spare"]["pause"] is None
    paused = {each["slug"]: each["paused"] for each in await listed(api, "/providers")}
    assert paused == {"sim": True, "spare": False}
    page = await owner.get(f"{HOME}/providers")
    assert "an outage there" in page.text
    await fill(owner, "/providers/sim", "/providers/sim/resume")
    entries = await listed(api, "/audit", action="providers")
    assert [each["action"] for each in entries] == ["providers.resume", "providers.pause"]
    assert entries[0]["actor_label"] == "ada@example.com"


async def test_a_test_call_is_a_job_at_this_provider_only(api, owner):
    answer = await fill(owner, "/providers/spare", "/providers/spare/test")
    job = answer.headers["location"].rpartition("/")[2]
    shown = (await owner.get(f"/api/v1/jobs/{job}")).json()
    assert (shown["provider"], shown["model"]) == ("spare", "other/big")
    assert "This job is the test call" in (await owner.get(answer.headers["location"])).text


async def test_an_unknown_provider_is_not_found(owner):
    assert (await owner.get(f"{HOME}/providers/none")).status_code == 404


async def test_only_operators_see_how_providers_are_configured(api, browser):
    make_user(api, role=Role.ADMIN)
    await sign_in(browser)
    for page in ("/providers", "/providers/sim"):
        answer = await browser.get(HOME + page)
        assert "127.0.0.1:9" not in answer.text
        assert "OPENAI_API_KEY" not in answer.text


async def test_credits_show_payments_and_holds(api, owner):
    payment = {"amount": 25, "reference": "inv-4711"}
    assert (await api.ask("POST", "/credits", json=payment)).status_code == 201
    answer = await fill(owner, "/providers/sim", "/providers/sim/test")
    job = answer.headers["location"].rpartition("/")[2]
    page = (await owner.get(f"{HOME}/credits")).text
    assert page.index(job) < page.index("inv-4711")  # newest first
    assert "+$25.00" in page


async def test_a_payment_by_card_is_refused_where_it_is_not_set_up(owner):
    answer = await fill(owner, "/members", "/credits/checkout", amount="25")
    assert answer.status_code == 400
    assert "WAYBILL_STRIPE_API_KEY" in refusal_of(answer)


PAGES = {
    "/members": "viewer",
    "/presets": "viewer",
    "/budgets": "viewer",
    "/credits": "viewer",
    "/providers": "viewer",
    "/providers/sim": "viewer",
    "/settings": "viewer",
    "/provider-keys": "admin",
    "/audit": "admin",
    "/users": "operator",
}
"""The least role that a page is shown to."""
FORMS = {
    "/members/add": {"user": "usr_x", "role": "viewer"},
    "/members/remove": {"user": "usr_x"},
    "/members/invite": {"email": "eve@example.com"},
    "/provider-keys": {"provider": "anthropic", "key": "sk-x"},
    "/budgets": {"subject": "workspace", "period": "daily", "limit_usd": "1"},
    "/providers/sim/pause": {"reason": "an outage"},
    "/providers/sim/resume": {},
    "/budgets/delete": {"subject": "workspace", "period": "daily"},
    "/users": {"email": "eve@example.com"},
    "/settings": {"part": "privacy", "store": "none"},
    "/settings/new-workspace": {"new_name": "Eve"},
    "/settings/delete-data": {},
    "/settings/delete-workspace": {"confirmed_name": "default"},
}
"""Forms that no viewer and no member may send."""


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER])
async def test_pages_and_forms_refuse_who_does_not_administer(api, browser, role):
    make_user(api, role=role)
    await sign_in(browser)
    for page, least in PAGES.items():
        answer = await browser.get(HOME + page)
        assert answer.status_code == (200 if least == "viewer" else 403), page
        may_send = page in ("/presets", "/providers/sim") and role is Role.MEMBER
        assert ("<form" in main_of(answer)) is may_send, page
    token = token_of(await browser.get(f"{HOME}/members"))
    for form, fields in FORMS.items():
        answer = await browser.post(HOME + form, data={"form_token": token, **fields})
        assert answer.status_code == 403, form
    assert [each["actor"] for each in await listed(api, "/audit", action="budgets")] == []


async def test_an_administrator_changes_nothing_of_the_installation(api, browser):
    make_user(api, role=Role.ADMIN)
    await sign_in(browser)
    assert (await browser.get(f"{HOME}/users")).status_code == 403
    page = await browser.get(f"{HOME}/settings")
    assert "Another workspace" not in page.text
    assert "Delete stored data" not in page.text
    token = token_of(page)
    for form in (
        "/users",
        "/members/invite",
        "/providers/sim/pause",
        "/settings/new-workspace",
        "/settings/delete-data",
    ):
        data = {"form_token": token, **FORMS[form]}
        assert (await browser.post(HOME + form, data=data)).status_code == 403, form
    limits = {"form_token": token, "part": "limits", "unlimited": "on"}
    assert (await browser.post(f"{HOME}/settings", data=limits)).status_code == 403


@pytest.mark.parametrize("form", [*FORMS, "/presets"])
async def test_a_form_without_its_token_changes_nothing(api, owner, form):
    before = await listed(api, "/audit")
    answer = await owner.post(HOME + form, data={**FORMS.get(form, {}), "slug": "x", "model": "a"})
    assert answer.status_code == 403
    assert await listed(api, "/audit") == before
