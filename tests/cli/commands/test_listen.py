"""`waybill listen`: what verifies is printed, what does not is said, and a repetition is marked."""

import base64
import json
import threading
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook
from typer.testing import CliRunner

from cli.commands.webhooks import Inbox, make_receiver
from cli.main import app

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
BODY = json.dumps({"type": "job.completed", "timestamp": "…", "data": {"id": "job_1"}})


def signed(secret=SECRET, name="evt_1", **changes):
    moment = datetime.now(UTC)
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, moment, BODY),
    } | changes


def test_a_genuine_event_is_printed_and_a_repetition_marked():
    inbox = Inbox([SECRET])
    assert inbox.verify(signed(), BODY.encode()) == (True, 'job.completed evt_1 {"id":"job_1"}')
    assert inbox.verify(signed(), BODY.encode())[1].startswith("again: job.completed evt_1")


def test_any_of_the_secrets_will_do():
    assert Inbox([OTHER, SECRET]).verify(signed(), BODY.encode())[0]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"webhook-id": "evt_other"}, "NOT VERIFIED: evt_other No matching signature found"),
        ({"webhook-timestamp": "1000"}, "Message timestamp too old"),
        ({"webhook-timestamp": "soon"}, "Invalid Signature Headers"),
        ({"webhook-signature": "nonsense"}, "the signature cannot be read"),
        ({"webhook-signature": "v1,a"}, "the signature cannot be read"),
        ({"webhook-signature": ""}, "Missing required headers"),
    ],
    ids=str,
)
def test_what_does_not_verify_is_said(changes, why):
    is_genuine, line = Inbox([SECRET]).verify(signed() | changes, BODY.encode())
    assert not is_genuine
    assert line.startswith("NOT VERIFIED: ")
    assert why in line


def test_a_name_that_would_command_the_terminal_is_not_shown():
    is_genuine, line = Inbox([SECRET]).verify(signed() | {"webhook-id": "\x1b[2Jevt_1"}, b"{}")
    assert not is_genuine
    assert line == "NOT VERIFIED: (a webhook-id with control characters)"


def test_what_is_no_webhook_at_all():
    told = (False, "NOT VERIFIED: (no webhook-id) Missing required headers")
    assert Inbox([SECRET]).verify({}, BODY.encode()) == told


@pytest.mark.parametrize("body", [b"\xff", b"", b"{"])
def test_a_body_that_is_no_text(body):
    assert not Inbox([SECRET]).verify(signed(), body)[0]


@pytest.fixture
def url():
    server = make_receiver("127.0.0.1", 0, Inbox([SECRET]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_the_sender_learns_what_became_of_it(url, capsys):
    assert httpx.post(url, content=BODY, headers=signed()).status_code == 204
    assert httpx.post(url, content=BODY, headers=signed(OTHER)).status_code == 400
    assert httpx.post(url, content=iter([b"no length"])).status_code == 413
    first, second = capsys.readouterr().out.splitlines()
    assert "job.completed evt_1" in first
    assert "NOT VERIFIED: evt_1" in second


@pytest.mark.parametrize("secret", ["whsec_", "whsec_a"])
def test_what_is_no_secret(secret):
    result = CliRunner().invoke(app, ["listen", "--secret", secret])
    assert result.exit_code == 1
    assert "not a whsec_ secret" in result.stderr


def test_a_port_that_is_taken(url):
    result = CliRunner().invoke(app, ["listen", "--secret", SECRET, "--port", url[17:-1]])
    assert result.exit_code == 1
    assert "cannot listen on 127.0.0.1" in result.stderr


def test_without_a_server_to_ask(monkeypatch):
    result = CliRunner().invoke(app, ["listen"], env={"WAYBILL_URL": "http://127.0.0.1:9"})
    assert result.exit_code == 1
    assert "no Waybill at http://127.0.0.1:9" in result.stderr
