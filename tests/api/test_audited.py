"""Changes of webhooks and money are in the audit log, without secrets."""

import pytest

RECEIVER = {"url": "https://receiver.example/hook", "headers": {"Authorization": "Bearer hush"}}


async def noted(api, key=None, **filters):
    entries = (await api.ask("GET", "/audit", key, params=filters)).json()["data"]
    return list(reversed(entries))


async def test_webhook_endpoints_and_secrets_are_noted_without_secrets(api):
    key, manager = api.key(), api.manager()
    made = (await api.ask("POST", "/webhooks/endpoints", key, json=RECEIVER)).json()
    path = f"/webhooks/endpoints/{made['id']}"
    await api.ask("PATCH", path, key, json={"rate_limit": 60, "headers": {"X-Key": "hush"}})
    rotated = (await api.ask("POST", f"{path}/rotate", key)).json()
    await api.ask("DELETE", path, key)
    fresh = (await api.ask("POST", "/webhooks/secret/rotate", key)).json()
    entries = await noted(api, manager, action="webhooks")
    assert [each["action"].partition(".")[2] for each in entries] == [
        "create", "update", "rotate", "delete", "rotate",
    ]  # fmt: skip
    assert (entries[1]["before"], entries[1]["after"]) == (
        {"rate_limit": None},
        {"rate_limit": 60},
    )
    for secret in (made["secret"], rotated["secret"], fresh["secret"], "hush"):
        assert secret not in str(entries)


async def test_budgets_and_payments_are_noted_once_each(api):
    workspace_id = api.workspace()
    path = f"/workspaces/{workspace_id}/budgets/daily"
    for limit in (5, 9):
        await api.ask("PUT", path, json={"limit_usd": limit})
    for _ in range(2):  # the second finds none
        await api.ask("DELETE", path)
    payment = {"workspace_id": workspace_id, "amount": 25, "reference": "inv-1"}
    for _ in range(2):  # the second is the same payment
        assert (await api.ask("POST", "/credits", json=payment)).status_code < 300
    entries = await noted(api, workspace_id=workspace_id)
    entries = [each for each in entries if each["action"].startswith(("budgets", "credits"))]
    assert [each["action"] for each in entries] == [
        "budgets.put", "budgets.put", "budgets.delete", "credits.add",
    ]  # fmt: skip
    assert entries[1]["before"]["limit_usd"] == 5
    assert entries[3]["after"]["amount_usd"] == 25


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/webhooks/endpoints", RECEIVER),
        ("PUT", "/workspaces/ws_default/budgets/daily", {"limit_usd": 1}),
        ("POST", "/credits", {"amount": 5, "reference": "inv-2"}),
    ],
)
async def test_what_cannot_be_noted_is_not_done(api, monkeypatch, method, path, body):
    shown = ("/webhooks/endpoints", "/workspaces/ws_default/budgets", "/credits")
    before = [(await api.ask("GET", each)).json() for each in shown]
    monkeypatch.setattr("broker.accounts.audit.record", broken)
    assert (await api.ask(method, path, json=body)).status_code == 500
    assert [(await api.ask("GET", each)).json() for each in shown] == before


def broken(*_):
    raise RuntimeError("no pen")
