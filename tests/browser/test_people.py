"""The first user's link, signing in and an app's request for a key, in a real browser."""

import re
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import httpx
import openrouter
import pytest
from playwright.sync_api import Page, expect

from broker.administration.apps import challenge_of
from tests.installation import REPOSITORY, Installation, free_ports

PASSWORD = "correct horse battery staple"
VERIFIER = "v" * 43


@pytest.fixture(scope="module")
def first_user_link(installation: Installation) -> str:
    """Return the output of `waybill up`."""
    return re.findall(r"http://\S+/welcome\?token=\S+", installation.log_path.read_text())[0]


def test_from_the_first_users_link_to_an_apps_key(
    installation: Installation, page: Page, first_user_link: str
) -> None:
    # Given the link that the first start printed
    page.goto(first_user_link)
    page.get_by_label("Name").fill("Ada Lovelace")
    page.get_by_label("E-mail address").fill("ada@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    # When she signs out, and an app sends her here
    page.get_by_role("button", name="Sign out").click()
    (port,) = free_ports(1)
    callback = f"http://localhost:{port}/done"
    challenge = challenge_of(VERIFIER, "S256")
    page.goto(
        f"{installation.root}/auth?callback_url={callback}&code_challenge={challenge}&limit=5"
    )
    page.get_by_label("E-mail address").fill("ada@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("up to $5")).to_be_visible()
    with page.expect_request(f"{callback}?code=*") as sent:  # nobody answers there
        page.get_by_role("button", name="Allow").click()
    # Then the app exchanges its code for a key that works
    code = parse_qs(urlsplit(sent.value.url).query)["code"][0]
    answer = httpx.post(
        f"{installation.url}/auth/keys", json={"code": code, "code_verifier": VERIFIER}
    )
    with openrouter.OpenRouter(api_key=answer.json()["key"], server_url=installation.url) as client:
        assert client.api_keys.get_current_key_metadata().data.limit == 5


def test_openrouters_sdk_manages_keys_and_workspaces(installation: Installation) -> None:
    command = [sys.executable, "-m", "cli", "keys", "create", "sdk", "--everywhere"]
    made = subprocess.run(
        command,
        env=installation.environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    with openrouter.OpenRouter(api_key=made.stdout.strip(), server_url=installation.url) as client:
        place = client.workspaces.create(name="Research", slug="research").data
        assert client.workspaces.get(id="research").data.id == place.id
        key = client.api_keys.create(name="ci", limit=2, workspace_id=place.id)
        listed = client.api_keys.list(workspace_id=place.id).data
        assert [each.hash for each in listed] == [key.data.hash]
        changed = client.api_keys.update(hash=key.data.hash, disabled=True, limit=None)
        assert (changed.data.disabled, changed.data.limit) == (True, None)
        client.api_keys.delete(hash=key.data.hash)
        client.workspaces.delete(id=place.id)
