"""Endpoints and secrets: made, shown, changed, rotated, tested, deleted; by their owner only."""

import pytest

from tests.e2e.hooks import Receiver, Tenant

FAR = "https://example.com/hooks"


def test_a_secret_is_shown_once(tenant: Tenant) -> None:
    made = tenant.endpoint(FAR, description="mine")
    assert made["secret"].startswith("whsec_")
    (listed,) = tenant.ask("GET", "/webhooks/endpoints")["data"]
    assert listed == {name: value for name, value in made.items() if name != "secret"}
    assert listed == tenant.ask("GET", f"/webhooks/endpoints/{made['id']}")
    rotated = tenant.ask("POST", f"/webhooks/endpoints/{made['id']}/rotate")
    assert rotated["secret"] not in (None, made["secret"])
    assert 86_000 < rotated["previous_secret_until"] - made["created_at"] < 87_000
    assert "secret" not in tenant.ask("GET", f"/webhooks/endpoints/{made['id']}")


def test_of_a_private_key_the_public_half_is_shown(tenant: Tenant) -> None:
    made = tenant.endpoint(FAR, signature="v1a")
    assert made["public_key"].startswith("whpk_")
    assert "secret" not in made
    rotated = tenant.ask("POST", f"/webhooks/endpoints/{made['id']}/rotate")
    assert rotated["public_key"] != made["public_key"]
    assert "secret" not in rotated
    back = {"signature": "v1", "overlap_seconds": 60}
    shared = tenant.ask("POST", f"/webhooks/endpoints/{made['id']}/rotate", json=back)
    assert (shared["signature"], shared["public_key"]) == ("v1", None)
    assert shared["secret"].startswith("whsec_")


def test_values_of_headers_are_not_shown(tenant: Tenant) -> None:
    made = tenant.endpoint(FAR, headers={"Authorization": "Bearer hush", "X-Team": "blue"})
    assert made["header_names"] == ["Authorization", "X-Team"]
    assert "hush" not in str(made)


def test_only_what_is_named_changes(tenant: Tenant) -> None:
    made = tenant.endpoint(FAR, events=["job.*"], rate_limit=60, description="first")
    changed = tenant.change(made, description="second")
    assert changed == {k: v for k, v in made.items() if k != "secret"} | {"description": "second"}
    changed = tenant.change(made, events=[], rate_limit=None, payload="full", disabled=True)
    assert (changed["events"], changed["rate_limit"], changed["payload"]) == ([], None, "full")
    assert changed["disabled"]
    assert changed["disabled_reason"]
    assert tenant.change(made, disabled=False)["disabled_reason"] is None
    assert tenant.change(made) == tenant.ask("GET", f"/webhooks/endpoints/{made['id']}")


def test_a_deleted_endpoint_is_gone(tenant: Tenant) -> None:
    made = tenant.endpoint(FAR)
    assert tenant.ask("DELETE", f"/webhooks/endpoints/{made['id']}")["deleted"]
    tenant.ask("GET", f"/webhooks/endpoints/{made['id']}", status=404)
    assert tenant.ask("GET", "/webhooks/endpoints")["data"] == []


def test_a_test_event_passes_every_filter(tenant: Tenant, receiver: Receiver) -> None:
    made = tenant.endpoint(receiver.url("/tested"), events=["job.failed"])
    sent = tenant.ask("POST", f"/webhooks/endpoints/{made['id']}/test", status=202)
    (post,) = receiver.await_posts("/tested")
    assert post.verified(made["secret"])["type"] == "endpoint.test"
    assert post.id == sent["event_id"]
    assert tenant.await_delivery(sent["id"], "delivered")["payload"] == post.event
    tenant.change(made, disabled=True)
    refused = tenant.ask("POST", f"/webhooks/endpoints/{made['id']}/test", status=409)
    assert "disabled" in refused["detail"]


def test_the_workspace_has_one_secret_until_it_is_rotated(tenant: Tenant) -> None:
    first = tenant.ask("GET", "/webhooks/secret")
    assert first["secret"].startswith("whsec_")
    assert first == tenant.ask("GET", "/webhooks/secret")
    rotated = tenant.ask("POST", "/webhooks/secret/rotate", json={"overlap_seconds": 3600})
    assert rotated["secret"] != first["secret"]
    assert 3500 < rotated["previous_secret_until"] - rotated["created_at"] < 3700
    assert rotated == tenant.ask("GET", "/webhooks/secret")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/test"),
    ],
)  # fmt: skip
def test_another_workspace_cannot_touch_an_endpoint(
    tenant: Tenant, stranger: Tenant, method: str, path: str
) -> None:
    made = tenant.endpoint(FAR)
    body = {"json": {"disabled": True}} if method == "PATCH" else {}
    stranger.ask(method, f"/webhooks/endpoints/{made['id']}{path}", status=404, **body)
    assert stranger.ask("GET", "/webhooks/endpoints")["data"] == []
    kept = tenant.ask("GET", f"/webhooks/endpoints/{made['id']}")
    assert kept == {name: value for name, value in made.items() if name != "secret"}


def test_every_workspace_has_a_secret_of_its_own(tenant: Tenant, stranger: Tenant) -> None:
    assert tenant.secret() != stranger.secret()
