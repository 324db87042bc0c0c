"""/byok as an administrator uses it; the key itself is never told again."""

import pytest
from openrouter.components import BYOKKey
from sqlalchemy import select

from broker.storage.tables import AuditEntry, ProviderCredential

KEY = "sk-ant-the-secret-0123456789abcdef"


async def make(api, caller=None, **body):
    body = {"provider": "anthropic", "key": KEY, **body}
    answer = await api.ask("POST", "/byok", caller, json=body)
    assert answer.status_code == 201, answer.text
    assert KEY not in answer.text
    return answer.json()["data"]


def everything(api, table):
    with api.database.engine.connect() as connection:
        return repr(connection.execute(select(table.__table__)).all())


async def test_a_key_is_kept_shown_changed_and_deleted_in_openrouters_shape(api):
    made = await make(api, name="prod", allowed_models=["anthropic/claude-sonnet-4.5"])
    assert made["label"] == "sk-a…cdef"
    BYOKKey.model_validate(made)
    path = f"/byok/{made['id']}"
    again = await api.ask("PATCH", path, json={"is_required": True, "allowed_models": None})
    assert (again.json()["data"]["is_required"], again.json()["data"]["allowed_models"]) == (
        True,
        None,
    )
    listed = (await api.ask("GET", "/byok", params={"provider": "anthropic"})).json()
    assert ([each["id"] for each in listed["data"]], listed["total_count"]) == ([made["id"]], 1)
    assert (await api.ask("DELETE", path)).json() == {"deleted": True}
    assert (await api.ask("GET", path)).status_code == 404
    audit = everything(api, AuditEntry)
    for action in ("credentials.create", "credentials.update", "credentials.delete"):
        assert action in audit
    assert KEY not in audit


async def test_the_key_is_not_in_the_database_and_another_can_take_its_place(api):
    made = await make(api)
    assert KEY not in everything(api, ProviderCredential)
    known = api.app.state.services.credentials
    assert known.secret(made["id"]) == KEY
    await api.ask("PATCH", f"/byok/{made['id']}", json={"key": "another-key-0123456789"})
    assert known.secret(made["id"]) == "another-key-0123456789"


async def test_who_has_just_added_a_key_is_planned_with_it_at_once(api):
    made = await make(api, provider="sim")
    body = {"model": "acme/small", "messages": [{"role": "user", "content": "hi"}]}
    job = (await api.ask("POST", "/jobs", api.key(), json={"body": body})).json()
    assert [each["is_byok"] for each in job["plan"]] == [True, False]
    await api.ask("PATCH", f"/byok/{made['id']}", json={"is_byok_only": True})
    only = (await api.ask("POST", "/jobs", api.key(), json={"body": body})).json()
    assert [each["is_byok"] for each in only["plan"]] == [True]


async def test_a_key_for_one_api_key_is_not_used_by_another(api):
    mine, other = api.key(), api.key()
    hashed = (await api.ask("GET", "/key", mine)).json()["data"]["hash"]
    made = await make(api, provider="sim", allowed_api_key_hashes=[hashed])
    assert made["allowed_api_key_hashes"] == [hashed]
    body = {"model": "acme/small", "messages": [{"role": "user", "content": "hi"}]}
    for key, expected in ((mine, [True, False]), (other, [False])):
        job = (await api.ask("POST", "/jobs", key, json={"body": body})).json()
        assert [each["is_byok"] for each in job["plan"]] == expected


async def test_another_workspace_neither_sees_nor_changes_it(api):
    made = await make(api)
    stranger = api.manager(api.workspace())
    path = f"/byok/{made['id']}"
    for method in ("GET", "PATCH", "DELETE"):
        assert (await api.ask(method, path, stranger, json={})).status_code == 404
    assert (await api.ask("GET", "/byok", stranger)).json()["data"] == []
    assert (await api.ask("GET", "/byok", api.key())).status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"key": ""}, "key"),
        ({"key": "two\nlines of a key"}, "key"),
        ({"provider": "nobody-knows"}, "provider"),
        ({"provider": "ollama"}, "provider"),
        ({"is_fallback": True, "is_byok_only": True}, "is_byok_only"),
        ({"allowed_api_key_hashes": ["ffff"]}, "allowed_api_key_hashes"),
        ({"fallback": True}, "fallback"),
    ],
)
async def test_what_is_wrong_is_named_and_the_key_is_not_repeated(api, body, field):
    answer = await api.ask("POST", "/byok", json={"provider": "anthropic", "key": KEY, **body})
    assert answer.status_code == 400
    assert field in answer.text
    assert KEY not in answer.text
    assert (body.get("key") or KEY) not in answer.text
    assert (await api.ask("GET", "/byok")).json()["total_count"] == 0


GROQ = "meta-llama/llama-3.1-8b-instruct"  # on the bundled price list; nobody here has a key for it
AUTO = {"plugins": [{"id": "auto-router", "allowed_models": ["meta-llama/*"]}]}


async def offered(api, key, path="/models"):
    return [each["id"] for each in (await api.ask("GET", path, key)).json()["data"]]


async def routed(api, key):
    """Return the provider to which the auto router sends a request limited to models of Meta."""
    body = {"model": "openrouter/auto", "messages": [{"role": "user", "content": "hi"}], **AUTO}
    return await api.ask("POST", "/route", key, json=body)


async def test_models_that_only_an_own_key_lights_are_shown_and_chosen_in_its_workspace(api):
    own, other = api.key(), api.key(api.workspace("other"))
    assert (await routed(api, own)).status_code == 404
    made = await make(api, provider="groq")
    for path in ("/models", "/models/user"):
        assert GROQ in await offered(api, own, path)
        assert GROQ not in await offered(api, other, path)
    assert GROQ not in [
        each["id"] for each in (await api.http.get("/api/v1/models")).json()["data"]
    ]
    shown = (await api.ask("GET", f"/model/{GROQ}", own)).json()["data"]
    endpoints = (await api.ask("GET", f"/models/{GROQ}/endpoints", own)).json()["data"]["endpoints"]
    assert shown["available"] is True
    assert [(each["tag"], each["available"]) for each in endpoints] == [("groq", True)]
    providers = (await api.ask("GET", "/providers", own)).json()["data"]
    assert "groq" in [each["slug"] for each in providers]
    plan = (await routed(api, own)).json()["plan"]
    assert {(each["provider"], each["is_byok"]) for each in plan} == {("groq", True)}
    assert (await routed(api, other)).status_code == 404
    # And a key that covers another model only lights no more than that
    path = f"/byok/{made['id']}"
    await api.ask("PATCH", path, json={"allowed_models": ["openai/gpt-oss-120b"]})
    assert "openai/gpt-oss-120b" in await offered(api, own)
    assert GROQ not in await offered(api, own)
    assert (await routed(api, own)).status_code == 404


async def test_models_are_listed_to_whoever_asks_whatever_key_they_bring(api):
    assert await offered(api, "sk-of-elsewhere") == await offered(api, api.key())
