import base64
import hashlib
import hmac
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from broker.enums import Scheme, SignatureKind
from broker.webhooks.signing import (
    PRIVATE,
    PUBLIC,
    SYMMETRIC,
    build_headers,
    derive_public_key,
    generate_secret,
    sign,
)

BODY = '{"type":"job.completed","data":{"id":"job_ä"}}'.encode()


def stamped(*keys, scheme=Scheme.STANDARD, at=None, body=BODY):
    return build_headers(
        scheme,
        keys,
        event_id="evt_1",
        timestamp=int(time.time()) if at is None else at,
        body=body,
        subject="job_1-completed",
    )


def test_the_public_library_verifies_what_we_sign():
    secret = generate_secret(SignatureKind.V1)
    assert Webhook(secret).verify(BODY, stamped(secret))["type"] == "job.completed"


def test_both_secrets_verify_while_one_rotates():
    old, new, other = (generate_secret(SignatureKind.V1) for _ in range(3))
    sent = stamped(new, old)
    assert Webhook(new).verify(BODY, sent)
    assert Webhook(old).verify(BODY, sent)
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(BODY, sent)


def test_a_shared_secret_may_rotate_into_a_key_pair():
    old, new = generate_secret(SignatureKind.V1), generate_secret(SignatureKind.V1A)
    sent = stamped(new, old)
    assert Webhook(old).verify(BODY, sent)
    versions = [element.partition(",")[0] for element in sent["webhook-signature"].split()]
    assert versions == ["v1a", "v1"]


def test_the_standards_own_example_comes_out():
    """The vectors of the standard's reference libraries (v1) and of Svix's server (v1a)."""
    message = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert (
        sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", *message)
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )
    pair = (
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbf"
        "VKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
    )
    assert derive_public_key(pair) == "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
    assert sign(pair, *message) == (
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5B"
        "dqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
    )


def test_a_public_key_verifies_v1a_and_nothing_else():
    secret = generate_secret(SignatureKind.V1A)
    public = derive_public_key(secret)
    assert secret.startswith(PRIVATE)
    assert public.startswith(PUBLIC)
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix(PUBLIC)))
    version, signature = sign(secret, "evt_1", 17, BODY).split(",")
    assert version == "v1a"
    key.verify(base64.b64decode(signature), b"evt_1.17." + BODY)
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(signature), b"evt_1.18." + BODY)


def test_a_shared_secret_has_as_many_bytes_as_the_standard_asks_for_and_no_public_key():
    secret = generate_secret(SignatureKind.V1)
    assert 24 <= len(base64.b64decode(secret.removeprefix(SYMMETRIC))) <= 64
    assert derive_public_key(secret) is None
    assert secret != generate_secret(SignatureKind.V1)


def test_openrouters_scheme_signs_time_and_body_with_a_comma_between():
    sent = stamped("whsec_new", "whsec_old", scheme=Scheme.OPENROUTER, at=17)
    first, *others = sent["X-OpenRouter-Signature"].split(",")
    expected = [
        "v1=" + hmac.new(key, b"17," + BODY, hashlib.sha256).hexdigest()
        for key in (b"whsec_new", b"whsec_old")
    ]
    assert first == "t=17"
    assert others == expected
    assert sent["X-OpenRouter-Idempotency-Key"] == "job_1-completed"
    assert sent["webhook-id"] == "evt_1"


@given(st.text(max_size=200))
def test_any_text_is_signed_as_the_public_library_does(text):
    secret = generate_secret(SignatureKind.V1)
    body = text.encode(errors="replace")
    Webhook(secret).verify(body, stamped(secret, body=body), json_parse=False)
