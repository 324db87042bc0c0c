"""Credits, budgets and use; keys of providers that workspaces bring."""

import sqlalchemy

from tests.api.answers.walking import Walk
from tests.api.billing.stripe import event, signed

A_DAY_BEFORE = """
UPDATE usage_rollups SET starts_at = starts_at - 86400000 WHERE period = 'day'
"""


def pay(walk: Walk) -> None:
    ask, workspace_id = walk.operator, walk.made["workspace"]
    walk.installation.await_idle()
    paid = {"workspace_id": workspace_id, "amount": 50, "reference": "inv-2026-0042"}
    for _ in ("new", "known"):
        ask("POST /credits", json=paid)
    page = {"amount": 25, "return_url": "https://app.example.com/credits"}
    walk.caller("POST /credits/checkout", json=page)
    told = event(metadata={"workspace_id": workspace_id})
    signature = {"Stripe-Signature": signed(told)}
    ask("POST /credits/stripe", content=told, headers=signature)
    walk.caller("GET /credits")
    which = {"workspace_id": workspace_id, "limit": 2}
    ask.until(_is_chained, "GET /credits/ledger", params=which)


def set_budgets(walk: Walk) -> None:
    ask, place = walk.operator, {"workspace_ref": "research", "interval": "daily"}
    ask("PUT /workspaces/{workspace_ref}/budgets/{interval}", json={"limit_usd": 5}, **place)
    ask("GET /workspaces/{workspace_ref}/budgets/{interval}", **place)
    ask("GET /workspaces/{workspace_ref}/budgets", workspace_ref="research")
    walk.caller("GET /key")
    ask("DELETE /workspaces/{workspace_ref}/budgets/{interval}", **place)


def look_at_use(walk: Walk) -> None:
    ask = walk.caller
    question = {
        "metrics": ["request_count", "total_usage"],
        "dimensions": ["model"],
        "granularity": "day",
        "filters": [{"field": "model", "operator": "eq", "value": "acme/embed"}],
    }
    ask("GET /analytics/meta")
    for form in ("json", "csv"):
        ask("POST /analytics/query", json=question, params={"format": form})
    engine = sqlalchemy.create_engine(walk.installation.database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(A_DAY_BEFORE)
    engine.dispose()
    for form in ("json", "csv"):
        ask("GET /activity", params={"format": form})


def bring_a_key(walk: Walk) -> None:
    ask, workspace_id = walk.operator, walk.made["workspace"]
    wanted = {"provider": "anthropic", "key": "sk-ant-of-an-example", "name": "prod"}
    made = ask("POST /byok", json=wanted | {"workspace_id": workspace_id})["data"]["id"]
    ask("PATCH /byok/{id}", id=made, json={"is_fallback": True})
    ask("GET /byok/{id}", id=made)
    ask("GET /byok", params={"workspace_id": workspace_id})
    ask("DELETE /byok/{id}", id=made)


def _is_chained(page: dict) -> bool:
    return all(each["sequence"] is not None for each in page["data"])
