"""Secrets never survive; ordinary words always do."""

import json
import logging
import string
import sys

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from broker.logs import configure_logging
from broker.security import redaction
from broker.security.redaction import HIDDEN, learn, redact, redact_values

TEXT = "Too many images: 3 were sent, the model takes 2. See https://host/docs?page=1 for more."
ORDINARY = [
    TEXT,
    "secret: none is needed",
    "password: required",
    "Invalid signature: missing prefix",
    "The api key: please set it",
    "basic authentication failed",
    "ghostwriter-2025-preview does not exist",
    "hf-inference does not know api_key_invalid; see account/api-keys; risk-free",
    "postgresql://localhost:5432/waybill cannot be reached",
]
SECRET = "s3cr3t-0123456789"
KEY_LETTERS = string.ascii_letters + string.digits + "-_.+/=~"
KEYS = st.text(KEY_LETTERS, min_size=12, max_size=60).filter(
    lambda key: any(letter.isdigit() for letter in key)
)


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    monkeypatch.setattr(redaction, "_known", ())


@pytest.mark.parametrize("text", ORDINARY)
@pytest.mark.parametrize(
    "key",
    ["any", "none", "key", "a", "", "local", "ollama", "EMPTY", "images", "model", "not-needed",
     "lm-studio", "dummy", "secret", "password", "waybill", "postgres", "required"],
)  # fmt: skip
def test_short_and_common_keys_leave_texts_alone(key, text):
    learn([key])
    assert redact(text) == text


@given(KEYS, st.text(max_size=40), st.text(max_size=40))
def test_a_known_secret_does_not_survive(key, before, after):
    learn([key])
    assert key not in redact(f"{before}{key}{after}")


@given(st.text(string.printable[:94].replace("'", ""), min_size=16, max_size=40))
def test_no_spelling_of_a_known_secret_survives(key):
    learn([f"{key}7"])
    for text in (json.dumps({"header": f"{key}7"}), repr(f"{key}7".encode()), f"{key}7"):
        assert HIDDEN in redact(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "cannot reach redis://user:hunter2@host:6379/0",
            "cannot reach redis://user:%@host:6379/0",
        ),
        ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer %"),
        ('{"api_key": "abc123def"}', '{"api_key": "%"}'),
        ("password=correct-horse-battery", "password=%"),
        ("bad key gsk_0123456789abcdefABCD", "bad key %"),
    ],
)
def test_what_has_the_form_of_a_secret_is_removed(text, shown):
    assert redact(text) == shown.replace("%", HIDDEN)


def test_values_are_redacted_at_any_depth():
    learn(["s3cr3t-0123456789"])
    nested = {"a": ["x s3cr3t-0123456789", 1, None], "b": {"c": ("s3cr3t-0123456789",)}}
    assert "s3cr3t" not in repr(redact_values(nested))


def test_no_log_line_holds_a_secret(capsys, monkeypatch):
    learn([SECRET])
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    configure_logging()
    try:
        try:
            int(SECRET)  # its error quotes what it was given
        except ValueError as error:
            structlog.get_logger().exception("failed", error=f"{error}", tried=[SECRET])
            logging.getLogger("other").exception("failed with %s", SECRET)
    finally:
        structlog.reset_defaults()
    said = capsys.readouterr().err
    assert "ValueError" in said
    assert "failed with" in said
    assert "s3cr3t" not in said
