"""Workspaces, their members and keys; users, apps, and the log of who changed what."""

from tests.api.answers.walking import Walk

CALLBACK = "https://app.example.com/callback"
VERIFIER = "a verifier that only the app knows, of forty-three letters"


def found_a_workspace(walk: Walk) -> None:
    ask = walk.operator
    about = {"name": "Research", "slug": "research", "description": "Trials", "unlimited": True}
    workspace_id = ask("POST /workspaces", json=about)["data"]["id"]
    changes = {"requests_per_minute": 600, "max_concurrent_jobs": 50}
    ask("PATCH /workspaces/{id}", id=workspace_id, json=changes)
    ask("GET /workspaces/{id}", id="research")
    ask("GET /workspaces")
    walk.made["workspace"] = workspace_id


def invite_people(walk: Walk) -> None:
    ask, workspace_id = walk.operator, walk.made["workspace"]
    wanted = {"email": "ada@example.com", "name": "Ada", "workspace_id": workspace_id}
    user_id = ask("POST /users", json=wanted)["data"]["id"]
    ask("PATCH /users/{user_id}", user_id=user_id, json={"name": "Ada Lovelace"})
    ask("GET /users/{user_id}", user_id="ada@example.com")
    ask("GET /users")
    ask("POST /users/{user_id}/link", user_id=user_id)
    ask("GET /organization/members")
    grace = ask("POST /users", json={"email": "grace@example.com"})["data"]["id"]
    named = {"user_ids": [grace], "role": "viewer"}
    ask("POST /workspaces/{id}/members/add", id=workspace_id, json=named)
    ask("GET /workspaces/{id}/members", id=workspace_id)
    ask("POST /workspaces/{id}/members/remove", id=workspace_id, json={"user_ids": [grace]})


def make_keys(walk: Walk) -> None:
    ask, workspace_id = walk.operator, walk.made["workspace"]
    limited = {"limit": 25, "limit_reset": "monthly", "allowed_models": ["acme/*"]}
    scopes = {"scopes": ["jobs", "files", "webhooks", "presets"]}
    made = ask("POST /keys", json={"name": "ci", "workspace_id": workspace_id, **limited, **scopes})
    walk.caller.http.headers["Authorization"] = f"Bearer {made['key']}"
    hash_ = made["data"]["hash"]
    ask("PATCH /keys/{hash}", hash=hash_, json={"requests_per_minute": 120})
    ask("GET /keys/{hash}", hash=hash_)
    ask("GET /keys", params={"workspace_id": workspace_id})
    other = ask("POST /keys", json={"name": "old", "workspace_id": workspace_id})
    ask("DELETE /keys/{hash}", hash=other["data"]["hash"])


def connect_an_app(walk: Walk) -> None:
    wanted = {"callback_url": CALLBACK, "workspace_id": walk.made["workspace"]}
    proof = {"code_challenge": VERIFIER, "code_challenge_method": "plain"}
    code = walk.operator("POST /auth/keys/code", json=wanted | proof)["data"]["id"]
    told = {"code": code, "code_verifier": VERIFIER, "code_challenge_method": "plain"}
    walk.operator("POST /auth/keys", json=told)


def look_at_the_log(walk: Walk) -> None:
    walk.operator("GET /audit", params={"workspace_id": walk.made["workspace"], "limit": 2})


def close_a_workspace(walk: Walk) -> None:
    ask = walk.operator
    ask("DELETE /workspaces/{id}/data", id=walk.made["workspace"])
    closed = ask("POST /workspaces", json={"name": "Closing"})["data"]["id"]
    ask("DELETE /workspaces/{id}", id=closed)
