"""A key points somebody's webhook endpoint at itself, to be sent the secrets of the receiver."""

import pytest

from broker.webhooks import find_endpoint

HEADERS = {"Authorization": "Bearer hush"}
OLD, NEW = "https://receiver.example/hook", "https://evil.example/hook"


async def made(api, key, signature="v1"):
    body = {"url": OLD, "headers": HEADERS, "signature": signature}
    return (await api.ask("POST", "/webhooks/endpoints", key, json=body)).json()


def stored(api, endpoint):
    """Return the row, and what is sent along."""
    with api.database.transaction() as connection:
        row = find_endpoint(connection, "ws_default", endpoint["id"])
    encryption = api.app.state.services.encryption
    return (
        row,
        encryption.decrypt(row.headers) if row.headers else "",
        encryption.decrypt(row.secret),
    )


@pytest.mark.parametrize("signature", ["v1", "v1a"])
@pytest.mark.parametrize("more", [{}, {"rate_limit": 5}, {"disabled": False}])
async def test_another_url_gets_neither_secret_nor_headers(api, signature, more):
    key = api.key()
    endpoint = await made(api, key, signature)
    path = f"/webhooks/endpoints/{endpoint['id']}"
    await api.ask("POST", f"{path}/rotate", key)  # the one before signs, too
    _, _, secret = stored(api, endpoint)
    answer = await api.ask("PATCH", path, key, json={"url": NEW, **more})
    row, headers, now = stored(api, endpoint)
    assert (row.url, headers, row.previous_secret) == (NEW, "", None)
    assert now != secret
    assert ("secret" in answer.json()) is (signature == "v1")
    assert answer.json().get("secret", now) == now
    back = await api.ask("PATCH", path, key, json={"url": OLD})
    assert back.status_code == 200
    assert "hush" not in stored(api, endpoint)[1]


async def test_headers_given_with_the_url_are_kept_for_it(api):
    key = api.key()
    endpoint = await made(api, key)
    body = {"url": NEW, "headers": {"X-Key": "mine"}}
    await api.ask("PATCH", f"/webhooks/endpoints/{endpoint['id']}", key, json=body)
    assert "mine" in stored(api, endpoint)[1]


async def test_the_same_url_changes_nothing_and_shows_nothing(api):
    key = api.key()
    endpoint = await made(api, key)
    path = f"/webhooks/endpoints/{endpoint['id']}"
    answer = await api.ask("PATCH", path, key, json={"url": OLD, "description": "billing"})
    row, headers, secret = stored(api, endpoint)
    assert (row.description, secret) == ("billing", endpoint["secret"])
    assert "hush" in headers
    assert "secret" not in answer.json()


async def test_it_is_in_the_audit_log(api):
    key = api.key()
    endpoint = await made(api, key)
    await api.ask("PATCH", f"/webhooks/endpoints/{endpoint['id']}", key, json={"url": NEW})
    query = {"action": "webhooks.update"}
    [entry] = (await api.ask("GET", "/audit", params=query)).json()["data"]
    assert (entry["before"]["url"], entry["after"]["url"]) == (OLD, NEW)
    assert entry["after"]["renewed"] == "signature and headers"
