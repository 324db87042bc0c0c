"""Sign-in through an OpenID provider: a tiny one, over HTTP, that signs what the test wants."""

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from api.core.auth import SESSION_COOKIE
from broker.accounts import DEFAULT_WORKSPACE, Role, users
from broker.accounts import users as members
from broker.accounts.audit import CLI
from broker.administration import users as people
from broker.administration.users import NewUser
from tests.api.conftest import ORIGIN, running, settings_for

CLIENT = "waybill"
SECRET = "the client's secret"


class Provider(ThreadingHTTPServer):
    """Knows one person. `claims` and `key` are what it says of them, and what it signs with."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.issuer = f"http://127.0.0.1:{self.server_port}"
        self.key = self.published = ECKey.generate_key("P-256", {"kid": "k1"})
        self.claims = {"sub": "ada", "email": "ada@example.com", "email_verified": True}
        self.asked = {}

    def authorize(self, url):
        """Return the query with which a browser would be sent back."""
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        return {"code": "the code", "state": self.asked["state"]}

    def id_token(self):
        claims = {
            "iss": self.issuer, "aud": CLIENT, "nonce": self.asked["nonce"],
            "iat": int(time.time()), "exp": int(time.time()) + 300, "name": "Ada", **self.claims,
        }  # fmt: skip
        return jwt.encode({"alg": "ES256", "kid": "k1"}, claims, self.key)


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        provider = self.server
        if self.path.endswith("openid-configuration"):
            self.say({
                "issuer": provider.issuer,
                "authorization_endpoint": f"{provider.issuer}/authorize",
                "token_endpoint": f"{provider.issuer}/token",
                "jwks_uri": f"{provider.issuer}/keys",
            })  # fmt: skip
        else:
            self.say({"keys": [provider.published.as_dict(private=False)]})

    def do_POST(self):
        length = int(self.headers["content-length"])
        form = {
            name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()
        }
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if challenge != self.server.asked["code_challenge"] or form["code"] != "the code":
            self.say({"error": "invalid_grant"}, 400)
            return
        token = self.server.id_token()
        self.say({"access_token": "a", "token_type": "Bearer", "id_token": token})

    def say(self, body, status=200):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def provider():
    with Provider() as provider:
        threading.Thread(target=provider.serve_forever, daemon=True).start()
        yield provider
        provider.shutdown()


@pytest.fixture
async def api(database_url, tmp_path, provider):
    config = settings_for(
        tmp_path, database_url=database_url, oidc_issuer=provider.issuer,
        oidc_client_id=CLIENT, oidc_client_secret=SECRET,
        oidc_label="Example", oidc_workspace="acme", oidc_role="viewer",
    )  # fmt: skip
    async with running(config) as api:
        yield api


@pytest.fixture
async def browser(api):
    transport = httpx.ASGITransport(api.app)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        yield http


async def sign_in(browser, provider, **changed):
    begun = await browser.get("/oidc/start", params={"next": "/account"})
    assert begun.status_code == 303, begun.text
    answer = provider.authorize(begun.headers["location"]) | changed
    return await browser.get("/oidc/callback", params=answer)


def known(api, email="ada@example.com"):
    return api.database.read_now(users.find_user, email)


def make_user(api):
    with api.database.transaction() as connection:
        wanted = NewUser("ada@example.com", "Ada", workspace_id=DEFAULT_WORKSPACE)
        return people.create(connection, CLI, wanted)


async def test_the_page_offers_it(browser):
    assert "Sign in with Example" in (await browser.get("/sign-in")).text


async def test_a_known_address_signs_in_and_is_known_by_subject_from_then_on(
    api, browser, provider
):
    user = make_user(api)
    answer = await sign_in(browser, provider)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account"), answer.text
    assert "ada@example.com" in (await browser.get("/account")).text
    # the address at the provider may change: the subject is who they are
    provider.claims |= {"email": "countess@example.com"}
    assert (await sign_in(browser, provider)).status_code == 303
    assert known(api).id == user.id
    assert known(api, "countess@example.com") is None


async def test_a_stranger_joins_the_workspace_that_was_set(api, browser, provider):
    workspace = api.workspace("acme")
    assert (await sign_in(browser, provider)).status_code == 303
    user = known(api)
    assert api.database.read_now(members.find_role, workspace, user.id) is Role.VIEWER


async def test_a_stranger_is_not_let_in_where_none_is_set(api, browser, provider):
    assert (await sign_in(browser, provider)).status_code == 403  # there is no workspace acme
    assert known(api) is None


async def test_an_address_that_nobody_verified_takes_over_no_user(api, browser, provider):
    make_user(api)
    provider.claims |= {"email_verified": False}
    assert (await sign_in(browser, provider)).status_code == 403
    provider.claims |= {"email_verified": True, "sub": "ada"}
    assert (await sign_in(browser, provider)).status_code == 303
    provider.claims |= {"sub": "somebody else"}
    assert (await sign_in(browser, provider)).status_code == 403


@pytest.mark.parametrize(
    "claims",
    [{"aud": "another"}, {"iss": "https://evil.example"}, {"exp": 1}, {"nonce": "another"}],
)
async def test_a_token_that_was_not_made_for_this_sign_in_opens_nothing(
    api, browser, provider, claims
):
    make_user(api)
    provider.claims |= claims
    answer = await sign_in(browser, provider)
    assert answer.status_code == 502
    assert SESSION_COOKIE not in browser.cookies


async def test_a_token_that_another_key_signed_opens_nothing(api, browser, provider):
    make_user(api)
    provider.key = ECKey.generate_key("P-256", {"kid": "k1"})
    assert (await sign_in(browser, provider)).status_code == 502


async def test_another_browsers_answer_opens_nothing(api, browser, provider):
    make_user(api)
    assert (await sign_in(browser, provider, state="another")).status_code == 502
    browser.cookies.clear()
    answer = await browser.get("/oidc/callback", params={"code": "the code", "state": "x"})
    assert answer.status_code == 502


async def test_a_provider_that_is_away_is_told_plainly(api, browser, provider):
    provider.shutdown()
    provider.server_close()
    answer = await browser.get("/oidc/start")
    assert answer.status_code == 502
    assert "could not be used" in answer.text
