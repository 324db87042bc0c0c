"""The public libraries verify deliveries with every valid secret."""

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import WebhookVerificationError

from tests.e2e.hooks import Received, Receiver, Tenant
from tests.stacks import any_stack

pytestmark = any_stack

VERIFY_IN_NODE = """
import { Webhook } from "standardwebhooks";
const { secrets, headers, body } = JSON.parse(process.argv[2]);
console.log(JSON.stringify(secrets.map((secret) => {
  try { return new Webhook(secret).verify(body, headers); } catch (error) { return error.message; }
})));
"""


@pytest.fixture(scope="session")
def in_node(tmp_path_factory: pytest.TempPathFactory):
    """Return what npm's `standardwebhooks` says to a delivery, for each secret."""
    if not (shutil.which("node") and shutil.which("npm")):
        assert not os.environ.get("CI"), "in CI node and npm have to be there"
        pytest.skip("node and npm are not here")
    room: Path = tmp_path_factory.mktemp("node")
    (room / "package.json").write_text('{"private": true, "type": "module"}')
    (room / "verify.js").write_text(VERIFY_IN_NODE)
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "standardwebhooks@1"]
    try:
        subprocess.run(install, cwd=room, check=True, timeout=60)
    except subprocess.SubprocessError as error:
        if os.environ.get("CI"):
            pytest.fail(f"in CI npm has to reach its registry: {error}")
        pytest.skip(f"npm cannot install: {error}")

    def verify(post: Received, *secrets: str) -> list[object]:
        told = {"secrets": secrets, "headers": dict(post.headers), "body": post.body.decode()}
        command = ["node", "verify.js", json.dumps(told)]
        done = subprocess.run(command, cwd=room, check=True, capture_output=True, timeout=30)
        return list(json.loads(done.stdout))

    return verify


def test_nothing_else_is_verified(tenant: Tenant, receiver: Receiver) -> None:
    tenant.endpoint(receiver.url("/signed"))
    tenant.ended()
    (post,) = receiver.await_posts("/signed")
    with pytest.raises(WebhookVerificationError):
        post.verified(tenant.secret())  # the workspace's: not the endpoint's


def rotate(tenant: Tenant, kind: str, path: str, receiver: Receiver) -> tuple[str, str]:
    """Send to this path signed by an endpoint's secret or the workspace's, after a rotation."""
    if kind == "endpoint":
        made = tenant.endpoint(receiver.url(path))
        old = made["secret"]
        new = tenant.ask("POST", f"/webhooks/endpoints/{made['id']}/rotate")["secret"]
        tenant.submit()
    else:
        old = tenant.secret()
        new = tenant.ask("POST", "/webhooks/secret/rotate")["secret"]
        tenant.submit(webhook={"url": receiver.url(path)})
    return old, new


@pytest.mark.parametrize("kind", ["endpoint", "workspace"])
def test_both_secrets_verify_while_one_rotates(
    tenant: Tenant, receiver: Receiver, kind: str
) -> None:
    path = f"/rotated/{kind}"
    old, new = rotate(tenant, kind, path, receiver)
    (post,) = receiver.await_posts(path)
    assert post.verified(old) == post.verified(new)
    assert len(post.headers["webhook-signature"].split()) == 2


@pytest.mark.parametrize("kind", ["endpoint", "workspace"])
def test_the_library_of_npm_verifies_both(
    tenant: Tenant, receiver: Receiver, kind: str, in_node
) -> None:
    path = f"/in-node/{kind}"
    old, new = rotate(tenant, kind, path, receiver)
    (post,) = receiver.await_posts(path)
    wrong = "whsec_" + base64.b64encode(bytes(32)).decode()
    first, second, refusal = in_node(post, old, new, wrong)
    assert first == second == post.event
    assert refusal == "No matching signature found"


def test_after_the_overlap_the_old_secret_signs_no_more(tenant: Tenant, receiver: Receiver) -> None:
    made = tenant.endpoint(receiver.url("/over"))
    at_once = {"overlap_seconds": 0}
    rotated = tenant.ask("POST", f"/webhooks/endpoints/{made['id']}/rotate", json=at_once)
    tenant.ended()
    (post,) = receiver.await_posts("/over")
    assert post.verified(rotated["secret"])
    with pytest.raises(WebhookVerificationError):
        post.verified(made["secret"])


def test_an_ed25519_signature_is_verified_with_the_public_key(
    tenant: Tenant, receiver: Receiver
) -> None:
    made = tenant.endpoint(receiver.url("/v1a"), signature="v1a")
    tenant.ended()
    (post,) = receiver.await_posts("/v1a")
    kind, _, signature = post.headers["webhook-signature"].partition(",")
    assert kind == "v1a"
    raw = base64.b64decode(made["public_key"].removeprefix("whpk_"))
    signed = f"{post.id}.{post.headers['webhook-timestamp']}.".encode() + post.body
    key = Ed25519PublicKey.from_public_bytes(raw)
    key.verify(base64.b64decode(signature), signed)
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(signature), signed + b" ")


def test_openrouters_scheme(tenant: Tenant, receiver: Receiver) -> None:
    made = tenant.endpoint(receiver.url("/openrouter"), scheme="openrouter")
    job = tenant.ended()
    (post,) = receiver.await_posts("/openrouter")
    parts = dict(part.split("=", 1) for part in post.headers["x-openrouter-signature"].split(","))
    signed = f"{parts['t']},".encode() + post.body
    expected = hmac.digest(made["secret"].encode(), signed, hashlib.sha256).hex()
    assert parts["v1"] == expected
    assert post.headers["x-openrouter-idempotency-key"] == f"{job['id']}-completed"
    assert set(post.event) == {"type", "created_at", "data"}


def test_a_private_key_does_not_sign_for_openrouter(tenant: Tenant) -> None:
    made = tenant.endpoint("https://example.com/", signature="v1a")
    path = f"/webhooks/endpoints/{made['id']}"
    refused = tenant.ask("PATCH", path, status=400, json={"scheme": "openrouter"})
    assert refused["param"] == "scheme"
    other = tenant.endpoint("https://example.com/", scheme="openrouter")
    path = f"/webhooks/endpoints/{other['id']}/rotate"
    refused = tenant.ask("POST", path, status=400, json={"signature": "v1a"})
    assert refused["param"] == "signature"
