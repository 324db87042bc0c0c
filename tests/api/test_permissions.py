"""Each route that changes something requires at least a certain role.

The routes come from the OpenAPI document. A new one fails here until somebody says whom it serves;
docs/how-to/manage-keys-and-people.md tells users the same.
"""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from api.app import create_app
from api.core.auth import SESSION_COOKIE
from broker.accounts import CallerKind, Role, sessions, users
from broker.accounts import users as members
from tests.api.conftest import ORIGIN, Api, running, settings_for
from tests.stacks import NewDatabase

CALLERS = ("nobody", "viewer", "member", "inference", "management", "admin", "owner", "operator")

ANYONE = CALLERS  # what they send says who they are: a code, a signature
RUNS = ("member", "inference", "admin", "owner")
USES = tuple(set(CALLERS) - {"nobody", "viewer"})
LOOKS = tuple(set(CALLERS) - {"nobody"})
ADMINISTERS = ("management", "admin", "owner", "operator")
GIVES = ("member", *ADMINISTERS)
OWNS = ("owner", "operator")
OPERATES = ("operator",)

CHAT = {"model": "acme/small", "messages": [{"role": "user", "content": "hi"}]}
TEXT = {"model": "acme/small", "prompt": "hi"}
ROUTES = {
    "POST /chat/completions": (RUNS, CHAT),
    "POST /completions": (RUNS, TEXT),
    "POST /embeddings": (RUNS, {"model": "acme/small", "input": "hi"}),
    "POST /images": (RUNS, TEXT),
    "POST /images/generations": (RUNS, TEXT),
    "POST /images/edits": (RUNS, TEXT | {"images": [{"image_url": "data:image/png,x"}]}),
    "POST /images/variations": (
        RUNS,
        {"model": "acme/small", "images": [{"image_url": "data:image/png,x"}]},
    ),
    "POST /moderations": (RUNS, {"model": "acme/small", "input": "hi"}),
    "POST /rerank": (RUNS, {"model": "acme/small", "query": "hi", "documents": ["hi"]}),
    "POST /audio/speech": (RUNS, {"model": "acme/small", "input": "hi", "voice": "alloy"}),
    "POST /audio/transcriptions": (
        RUNS,
        {"model": "acme/small", "input_audio": {"data": "aGk=", "format": "wav"}},
    ),
    "POST /messages": (RUNS, CHAT | {"max_tokens": 9}),
    "POST /messages/batches": (RUNS, {"requests": []}),
    "POST /messages/batches/{batch_id}/cancel": (USES, {}),
    "DELETE /messages/batches/{batch_id}": (USES, {}),
    "POST /messages/count_tokens": (RUNS, CHAT),
    "POST /responses": (RUNS, {"model": "acme/small", "input": "hi"}),
    "POST /responses/input_tokens": (USES, {}),
    "DELETE /responses/{response_id}": (USES, {}),
    "POST /responses/{response_id}/cancel": (USES, {}),
    "POST /jobs": (RUNS, {"body": CHAT}),
    "POST /route": (RUNS, CHAT),
    "POST /compare": (RUNS, {"models": ["acme/small"], "prompt": "hi"}),
    "POST /evaluations": (RUNS, {"models": ["acme/small"], "prompts": [{"prompt": "hi"}]}),
    "POST /evaluations/{evaluation_id}/cancel": (USES, {}),
    "DELETE /evaluations/{evaluation_id}": (USES, {}),
    "DELETE /jobs/{job_id}": (USES, {}),
    "POST /jobs/{job_id}/cancel": (USES, {}),
    "POST /jobs/{job_id}/retry": (USES, {}),
    "POST /batches": (RUNS, {"input_file_id": "file_x", "endpoint": "/v1/chat/completions"}),
    "POST /batches/{batch_id}/cancel": (USES, {}),
    "POST /batches/{batch_id}/retry": (RUNS, {}),
    "DELETE /batches/{batch_id}": (USES, {}),
    "POST /files": (USES, {}),
    "DELETE /files/{file_id}": (USES, {}),
    "POST /analytics/query": (LOOKS, {}),
    "POST /credits/checkout": (USES, {}),
    "POST /credits/stripe": (ANYONE, {}),
    "POST /credits": (OPERATES, {}),
    "POST /webhooks/endpoints": (USES, {}),
    "PATCH /webhooks/endpoints/{endpoint_id}": (USES, {}),
    "DELETE /webhooks/endpoints/{endpoint_id}": (USES, {}),
    "POST /webhooks/endpoints/{endpoint_id}/rotate": (USES, {}),
    "POST /webhooks/endpoints/{endpoint_id}/test": (USES, {}),
    "POST /webhooks/secret/rotate": (USES, {}),
    "POST /webhooks/deliveries/replay": (USES, {}),
    "POST /webhooks/deliveries/{delivery_id}/redeliver": (USES, {}),
    "PUT /workspaces/{workspace_ref}/budgets/{interval}": (ADMINISTERS, {}),
    "DELETE /workspaces/{workspace_ref}/budgets/{interval}": (ADMINISTERS, {}),
    "POST /keys": (ADMINISTERS, {}),
    "PATCH /keys/{hash}": (ADMINISTERS, {}),
    "DELETE /keys/{hash}": (ADMINISTERS, {}),
    "POST /byok": (ADMINISTERS, {}),
    "PATCH /byok/{id}": (ADMINISTERS, {}),
    "DELETE /byok/{id}": (ADMINISTERS, {}),
    "POST /presets/{slug}/chat/completions": (USES, CHAT),
    "POST /presets/{slug}/messages": (USES, {"model": "acme/small", "system": "Hi."}),
    "POST /presets/{slug}/responses": (USES, {"model": "acme/small", "instructions": "Hi."}),
    "PATCH /presets/{slug}": (USES, {}),
    "DELETE /presets/{slug}": (USES, {}),
    "POST /workspaces": (OPERATES, {}),
    "PATCH /workspaces/{id}": (ADMINISTERS, {}),
    "DELETE /workspaces/{id}": (OWNS, {}),
    "DELETE /workspaces/{id}/data": (OWNS, {}),
    "POST /workspaces/{id}/members/add": (ADMINISTERS, {}),
    "POST /workspaces/{id}/members/remove": (ADMINISTERS, {}),
    "POST /providers/{slug}/pause": (OPERATES, {}),
    "POST /providers/{slug}/resume": (OPERATES, {}),
    "POST /users": (OPERATES, {}),
    "PATCH /users/{user_id}": (OPERATES, {}),
    "POST /users/{user_id}/link": (OPERATES, {}),
    "POST /auth/keys/code": (GIVES, {}),
    "POST /auth/keys": (ANYONE, {}),
}
"""A route's least role, and a body that it accepts."""

document = create_app(settings_for(Path(tempfile.gettempdir()))).openapi()
CHANGING = {
    f"{method.upper()} {path.removeprefix('/api/v1')}"
    for path, methods in document["paths"].items()
    for method in methods
    if path.startswith("/api/v1/") and method != "get"
}


def test_of_every_route_that_changes_something_it_is_said_whom_it_serves():
    assert ROUTES.keys() == CHANGING


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(
    new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    """One application for all routes: each test has a workspace of its own."""
    directory = tmp_path_factory.mktemp("permissions")
    with new_database(directory) as url:
        async with running(settings_for(directory, database_url=url)) as api:
            yield api


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("route", ROUTES)
async def test_a_route_serves_those_it_is_for_and_refuses_all_others(api: Api, route: str):
    served, taken = ROUTES[route]
    method, path = route.split()
    workspace_id = api.workspace(route)
    names = {"id": workspace_id, "workspace_ref": workspace_id, "interval": "daily"}
    for name in (
        "job_id",
        "response_id",
        "batch_id",
        "evaluation_id",
        "file_id",
        "slug",
        "endpoint_id",
        "delivery_id",
        "hash",
        "user_id",
    ):
        names[name] = "none"
    refused = set()
    for caller in CALLERS:
        body = {} if caller in served else taken  # nobody waits here for an answer
        answer = await api.http.request(
            method,
            f"/api/v1{path.format(**names)}",
            json=body,
            headers=build_headers(api, caller, workspace_id),
        )
        assert answer.status_code < 500, answer.text
        if answer.status_code in (401, 403):
            refused.add(caller)
    assert refused == set(CALLERS) - set(served)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_secret_of_webhooks_is_for_those_who_may_act(api: Api):
    workspace_id = api.workspace("secretive")
    refused = set()
    for caller in CALLERS:
        headers = build_headers(api, caller, workspace_id)
        answer = await api.http.get("/api/v1/webhooks/secret", headers=headers)
        if answer.status_code in (401, 403):
            assert "whsec_" not in answer.text
            refused.add(caller)
    assert refused == {"nobody", "viewer"}


def build_headers(api: Api, caller: str, workspace_id: str) -> dict[str, str]:
    """Show that one is this caller."""
    match caller:
        case "nobody":
            return {}
        case "operator":
            return {"Authorization": f"Bearer {api.operator}"}
        case "inference" | "management":
            key = api.key(workspace_id, kind=CallerKind(caller))
            return {"Authorization": f"Bearer {key}"}
    with api.database.transaction() as connection:
        user_id = users.create_user(connection, f"{caller}@{workspace_id}.example", caller)
        members.add_member(connection, workspace_id, user_id, Role(caller))
        token = sessions.open_session(connection, user_id)
    return {"Cookie": f"{SESSION_COOKIE}={token}", "Origin": ORIGIN}
