"""Sign-in, invitations and an app's request for a key, over plain HTTP with a browser's cookies."""

import re
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from api.core.auth import SESSION_COOKIE
from api.pages import sign_in as signing_in
from broker.accounts import DEFAULT_WORKSPACE, Role, sessions, users
from broker.accounts import users as members
from broker.administration import apps
from broker.administration import users as people
from tests.api.conftest import ORIGIN
from tests.api.visitors import PASSWORD, make_user, send, sign_in, token_of

CALLBACK = "https://app.example.com/callback?mode=1"


async def test_signing_in_opens_a_session_and_signing_out_ends_it(api, browser):
    make_user(api)
    answer = await sign_in(browser, next="/account")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "ada@example.com" in (await browser.get("/account")).text
    kept = browser.cookies[SESSION_COOKIE]
    await send(browser, "/sign-out", show="/account")
    browser.cookies.set(SESSION_COOKIE, kept)  # a copy of the cookie is worth nothing either
    assert (await browser.get("/account")).status_code == 303


@pytest.mark.parametrize(
    ("email", "password"),
    [("ada@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("", "")],
)
async def test_a_wrong_password_and_an_unknown_address_are_told_alike(
    api, browser, email, password
):
    make_user(api)
    answer = await sign_in(browser, email, password)
    assert answer.status_code == 403
    assert "do not belong together" in answer.text
    assert SESSION_COOKIE not in browser.cookies


async def test_guessing_is_slowed_down(api, browser):
    make_user(api)
    answers = [(await sign_in(browser, password="guess")).status_code for _ in range(11)]
    assert answers == [403] * 10 + [429]
    assert (await sign_in(browser)).status_code == 429  # the right one does not pass either


async def test_guessing_from_elsewhere_locks_nobody_out(api, browser):
    make_user(api)
    for guest in range(3):  # one place is stopped after 30, for whichever address it guesses
        transport = httpx.ASGITransport(api.app, client=(f"198.51.100.{guest}", 4711))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as stranger:
            answers = [(await sign_in(stranger, password="guess")).status_code for _ in range(11)]
            assert answers[-1] == 429
    assert (await sign_in(browser)).status_code == 303


async def test_guessing_from_everywhere_is_slowed_down(api, browser, monkeypatch):
    monkeypatch.setattr(signing_in, "TRIES_PER_EMAIL", 2)
    make_user(api)
    answers = []
    for guest in range(3):
        transport = httpx.ASGITransport(api.app, client=(f"198.51.100.{guest}", 4711))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as stranger:
            answers.append((await sign_in(stranger, password="guess")).status_code)
    assert answers == [403, 403, 429]


async def test_a_browser_at_the_root_is_shown_the_way(browser):
    page = await browser.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (page.status_code, page.headers["location"]) == (303, "/dashboard")
    told = await browser.get("/", headers={"Accept": "application/json"})
    assert told.status_code == 404
    assert "/api/v1" in told.json()["error"]["message"]


async def test_a_disabled_user_is_signed_out_at_once_and_stays_out(api, browser):
    user = make_user(api)
    await sign_in(browser)
    changed = await api.ask("PATCH", f"/users/{user.id}", json={"disabled": True})
    assert changed.status_code == 200, changed.text
    assert (await browser.get("/account")).status_code == 303
    assert (await sign_in(browser)).status_code == 403


async def test_a_session_ends_by_itself(api, browser):
    user = make_user(api)
    with api.database.transaction() as connection:
        token = sessions.open_session(connection, user.id, seconds=0)
    browser.cookies.set(SESSION_COOKIE, token)
    assert (await browser.get("/account")).status_code == 303


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example", "/\\evil", "x\ny"])
async def test_signing_in_leads_nowhere_else(api, browser, wanted):
    make_user(api)
    assert (await sign_in(browser, next=wanted)).headers["location"] == "/dashboard"


async def test_a_form_that_no_page_of_ours_made_is_refused(api, browser):
    make_user(api)
    fields = {"email": "ada@example.com", "password": PASSWORD}
    assert (await browser.post("/sign-in", data=fields)).status_code == 403
    await browser.get("/sign-in")  # a cookie alone does not help, nor does another browser's token
    assert (await browser.post("/sign-in", data=fields)).status_code == 403
    other = httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url=ORIGIN)
    token = token_of(await other.get("/sign-in"))
    await other.aclose()
    answer = await browser.post("/sign-in", data={**fields, "form_token": token})
    assert answer.status_code == 403
    assert SESSION_COOKIE not in browser.cookies


async def test_pages_let_nothing_run_and_nobody_frame_them(browser):
    page = await browser.get("/sign-in")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "<script" not in page.text
    assert (page.headers["cache-control"], page.headers["referrer-policy"]) == (
        "no-store", "no-referrer",
    )  # fmt: skip


async def test_what_a_visitor_sends_is_shown_as_text(api, browser):
    answer = await sign_in(browser, email='"><script>alert(1)</script>@x.y')
    assert "<script" not in answer.text
    page = await browser.get("/auth", params={"callback_url": "javascript:alert(1)"})
    assert page.status_code == 400


async def test_the_first_user_comes_by_a_link_that_works_once(api, browser):
    with api.database.transaction() as connection:
        link, spare = (people.invite_first_user(connection) for _ in range(2))
    fields = {"name": "Ada", "email": "Ada@Example.com ", "token": link}
    short = await send(browser, "/welcome", f"/welcome?token={link}", password="short", **fields)
    assert short.status_code == 400
    made = await send(browser, "/welcome", f"/welcome?token={link}", password=PASSWORD, **fields)
    assert made.headers["location"] == "/dashboard"
    assert "administer this installation" in (await browser.get("/account")).text
    user = api.database.read_now(users.find_user, "ada@example.com")
    role = api.database.read_now(members.find_role, DEFAULT_WORKSPACE, user.id)
    assert (user.is_operator, role) == (True, Role.OWNER)
    for used in (link, spare):
        assert (await browser.get(f"/welcome?token={used}")).status_code == 403
    with api.database.transaction() as connection:
        assert people.invite_first_user(connection) is None


async def test_an_invited_user_chooses_a_password_once(api, browser):
    answer = await api.ask("POST", "/users", json={"email": "bob@example.com"})
    assert answer.status_code == 201, answer.text
    path = answer.json()["link"].removeprefix(ORIGIN)
    token = path.partition("token=")[2]
    await send(browser, "/welcome", path, token=token, password=PASSWORD)
    assert "bob@example.com" in (await browser.get("/account")).text
    assert (await browser.get(path)).status_code == 403


async def test_a_signed_in_administrator_uses_the_api_and_no_other_site_does(api, browser):
    make_user(api, role=Role.ADMIN)
    await sign_in(browser)
    assert (await browser.get("/api/v1/keys")).status_code == 200
    body = {"name": "by hand"}
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"},
                    {"Sec-Fetch-Site": "same-site"}):  # fmt: skip
        assert (await browser.post("/api/v1/keys", json=body, headers=headers)).status_code == 403
    made = await browser.post("/api/v1/keys", json=body, headers={"Origin": ORIGIN})
    assert made.status_code == 201
    # a session runs jobs, too: they count against the limits of a key that its holder has
    chat = {"model": "acme/small", "messages": [{"role": "user", "content": "hi"}]}
    ran = await browser.post("/api/v1/jobs", json={"body": chat}, headers={"Origin": ORIGIN})
    assert ran.status_code == 202


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [(Role.VIEWER, 403, 403), (Role.MEMBER, 403, 403), (Role.ADMIN, 200, 201)],
)
async def test_roles_decide_who_handles_keys(api, browser, role, reads, writes):
    make_user(api, role=role)
    await sign_in(browser)
    assert (await browser.get("/api/v1/keys")).status_code == reads
    origin = {"Origin": ORIGIN}
    made = await browser.post("/api/v1/keys", json={"name": "x"}, headers=origin)
    assert made.status_code == writes
    assert (await browser.get("/api/v1/workspaces")).json()["total_count"] == 1


def asked(**more):
    return {"callback_url": CALLBACK, "code_challenge": apps.challenge_of("v" * 43, "S256"),
            "code_challenge_method": "S256", **more}  # fmt: skip


async def allow(browser, decision="allow", **more):
    page = await browser.get("/auth", params=asked(**more))
    fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
    fields = {name: value.replace("&amp;", "&") for name, value in fields.items()}
    place = re.search(r'<option value="([^"]+)"', page.text)[1]
    return await browser.post("/auth", data={**fields, "workspace_id": place, "decision": decision})


async def exchange(api, code, verifier="v" * 43, **more):
    body = {"code": code, "code_verifier": verifier, **more}
    return await api.http.post("/api/v1/auth/keys", json=body)


def code_in(answer):
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


async def test_an_app_gets_a_key_with_the_limits_its_user_saw(api, browser):
    user = make_user(api)
    # Given nobody is signed in: the app's wish survives the sign-in
    first = await browser.get("/auth", params=asked(limit="5", usage_limit_type="monthly"))
    onward = parse_qs(urlsplit(first.headers["location"]).query)["next"][0]
    answer = await sign_in(browser, next=onward)
    assert answer.headers["location"] == onward
    # When the user allows it
    answer = await allow(browser, limit="5", usage_limit_type="monthly", key_label="My app")
    assert answer.headers["location"].startswith("https://app.example.com/callback?mode=1&code=")
    # Then the code is worth a key, once, to whoever knows the verifier
    code = code_in(answer)
    assert (await exchange(api, code, "w" * 43)).status_code == 403
    assert (await exchange(api, code, code_challenge_method="plain")).status_code == 400
    made = await exchange(api, code)
    assert made.json()["user_id"] == user.id
    told = (await api.ask("GET", "/key", made.json()["key"])).json()["data"]
    assert (told["limit"], told["limit_reset"], told["name"]) == (5, "monthly", "My app")
    assert told["creator_user_id"] == user.id
    assert (await exchange(api, code)).status_code == 403


async def test_an_app_that_is_denied_is_told_so(api, browser):
    make_user(api)
    await sign_in(browser)
    answer = await allow(browser, decision="deny")
    assert answer.headers["location"].endswith("callback?mode=1&error=access_denied")


async def test_a_program_without_a_browser_has_its_user_type_the_code(api, browser):
    make_user(api)
    await sign_in(browser)
    page = await browser.get("/auth")
    place = re.search(r'<option value="([^"]+)"', page.text)[1]
    fields = {"form_token": token_of(page), "workspace_id": place, "decision": "allow"}
    shown = await browser.post("/auth", data=fields)
    code = re.search(r'<code id="code">([^<]+)<', shown.text)[1]
    assert (await exchange(api, code, None)).status_code == 200


async def test_a_code_of_somebody_who_has_left_is_worth_nothing(api, browser):
    user = make_user(api)
    await sign_in(browser)
    code = code_in(await allow(browser))
    with api.database.transaction() as connection:
        members.remove_member(connection, DEFAULT_WORKSPACE, user.id)
    assert (await exchange(api, code)).status_code == 403


async def test_a_viewer_gives_no_key_away(api, browser):
    make_user(api, role=Role.VIEWER)
    await sign_in(browser)
    assert (await browser.get("/auth", params=asked())).status_code == 403


@pytest.mark.parametrize(
    "callback",
    ["http://app.example.com/", "ftp://app.example.com", "https://user@app.example.com/",
     "https://app.example.com/#x", "https://", "javascript:alert(1)", "http://localhost.evil.example/",
     "https://a b.example/", "https://app.example.com:port/"],
)  # fmt: skip
async def test_codes_are_not_sent_to_unsafe_addresses(api, callback):
    body = {"callback_url": callback}
    refused = await api.ask("POST", "/auth/keys/code", json=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "callback_url"


@pytest.mark.parametrize("method", ["S256", "plain"])
async def test_a_code_made_over_the_api(api, method):
    body = {
        "callback_url": "http://localhost:3000/done",
        "code_challenge": apps.challenge_of("v" * 43, method),
        "code_challenge_method": method,
        "limit": 3,
    }
    made = await api.ask("POST", "/auth/keys/code", api.manager(), json=body)
    assert made.status_code == 200, made.text
    key = (await exchange(api, made.json()["data"]["id"])).json()["key"]
    assert (await api.ask("GET", "/key", key)).json()["data"]["limit"] == 3
