"""Generate webhook secrets and sign deliveries.

Sources: Standard Webhooks 1.0.0 (`v1`: HMAC-SHA256, secrets `whsec_`; `v1a`: Ed25519, keys `whsk_`
and `whpk_`; both sign `{id}.{timestamp}.{body}` and encode in base64); OpenRouter's docs,
"Video generation", webhooks (`t=…,v1=<hex HMAC-SHA256 of "{t},{body}">`).
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.enums import Scheme, SignatureKind

SYMMETRIC, PRIVATE, PUBLIC = "whsec_", "whsk_", "whpk_"
SECRET_BYTES = 32  # the standard requires 24 to 64
SEED_BYTES = 32


def generate_secret(kind: SignatureKind) -> str:
    """Return a new secret in the form that its owner receives."""
    if kind is SignatureKind.V1:
        return SYMMETRIC + _encode_base64(secrets.token_bytes(SECRET_BYTES))
    key = Ed25519PrivateKey.generate()
    # seed and public key together, as libsodium and Svix write a private key
    return PRIVATE + _encode_base64(key.private_bytes_raw() + key.public_key().public_bytes_raw())


def find_kind(secret: str) -> SignatureKind:
    return SignatureKind.V1A if secret.startswith(PRIVATE) else SignatureKind.V1


def derive_public_key(secret: str) -> str | None:
    """Return the key with which a receiver verifies `v1a`; None for a shared secret."""
    if find_kind(secret) is SignatureKind.V1:
        return None
    return PUBLIC + _encode_base64(_load_private_key(secret).public_key().public_bytes_raw())


def build_headers(
    scheme: Scheme, keys: Sequence[str], *, event_id: str, timestamp: int, body: bytes, subject: str
) -> dict[str, str]:
    """Return the signature headers of a body.

    All `keys` sign: the current secret and, during a rotation, the previous one. `subject` is the
    idempotency key for OpenRouter's receivers: `<id>-<status>`.
    """
    if scheme is Scheme.OPENROUTER:
        return {
            "webhook-id": event_id,
            "X-OpenRouter-Idempotency-Key": subject,
            "X-OpenRouter-Signature": _sign_openrouter(keys, timestamp, body),
        }
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(sign(key, event_id, timestamp, body) for key in keys),
    }


def sign(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """Return one element of `webhook-signature`; its kind is that of the secret."""
    message = b"%s.%d.%s" % (event_id.encode(), timestamp, body)
    if find_kind(secret) is SignatureKind.V1A:
        return f"v1a,{_encode_base64(_load_private_key(secret).sign(message))}"
    key = base64.b64decode(secret.removeprefix(SYMMETRIC))
    return f"v1,{_encode_base64(hmac.digest(key, message, hashlib.sha256))}"


def _sign_openrouter(keys: Sequence[str], timestamp: int, body: bytes) -> str:
    message = b"%d,%s" % (timestamp, body)
    signatures = [hmac.digest(key.encode(), message, hashlib.sha256).hex() for key in keys]
    return ",".join([f"t={timestamp}", *(f"v1={signature}" for signature in signatures)])


def _load_private_key(secret: str) -> Ed25519PrivateKey:
    raw = base64.b64decode(secret.removeprefix(PRIVATE))
    return Ed25519PrivateKey.from_private_bytes(raw[:SEED_BYTES])


def _encode_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
