"""Stripe Checkout: pages from a Stripe that stands in, messages signed as Stripe signs them."""

import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import pytest

from api.stripe_checkout import Paid, StripeCheckout, provider
from broker.errors import InvalidRequestError
from broker.settings import Settings

pytest.importorskip("stripe")
SECRET = "whsec_of_these_tests"


def settings(**more):
    return Settings.model_construct(
        stripe_api_key="sk_test_x", stripe_webhook_secret=SECRET, **more
    )


def event(type_="checkout.session.completed", **session):
    """An event as Stripe sends it, cut to what it says of a session (Stripe API, "Events")."""
    about = {
        "id": "cs_test_1",
        "object": "checkout.session",
        "amount_total": 2_550,
        "currency": "usd",
        "payment_status": "paid",
        "metadata": {"workspace_id": "ws_1"},
    } | session
    told = {"id": "evt_1", "object": "event", "type": type_, "data": {"object": about}}
    return json.dumps(told).encode()


def signed(body, *, secret=SECRET, at=None):
    at = int(time.time()) if at is None else at
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def test_a_paid_session_is_a_payment_with_its_own_reference():
    body = event()
    paid = StripeCheckout(settings()).paid(body, signed(body))
    assert paid == Paid("ws_1", 25_500_000_000, "cs_test_1")


@pytest.mark.parametrize(
    "body",
    [
        event(payment_status="unpaid"),  # a bank transfer under way: another event follows
        event("checkout.session.expired"),
        event(metadata={}),  # not one of ours
        event(currency="eur"),
    ],
)
def test_what_is_no_payment_of_ours_is_passed_over(body):
    assert StripeCheckout(settings()).paid(body, signed(body)) is None


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "t=1,v1=00",
        signed(event(), secret="whsec_of_another"),
        signed(event(), at=int(time.time()) - 3_600),
        signed(event(amount_total=1)),
    ],
    ids=["none", "wrong", "another's", "old", "of something else"],
)
def test_what_stripe_did_not_sign_is_refused(signature):
    with pytest.raises(InvalidRequestError) as refusal:
        StripeCheckout(settings()).paid(event(), signature)
    assert refusal.value.param == "Stripe-Signature"


@pytest.fixture
def stripe_api():
    """A Stripe that makes one page, and remembers what it was asked."""
    asked = []

    class Api(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            session = {"id": "cs_1", "object": "checkout.session", "url": "https://pay.example/1"}
            body = json.dumps(session).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


async def test_a_page_is_for_one_workspace_and_amount(stripe_api):
    base, asked = stripe_api
    checkout = StripeCheckout(settings(stripe_api_base=base))
    url = await checkout.checkout("ws_1", 2_550, "https://app.example/credits")
    assert url == "https://pay.example/1"
    assert asked[0]["metadata[workspace_id]"] == ["ws_1"]
    assert asked[0]["line_items[0][price_data][unit_amount]"] == ["2550"]


def test_without_settings_there_is_no_payment_provider():
    with pytest.raises(InvalidRequestError, match="WAYBILL_STRIPE_API_KEY"):
        provider(Settings.model_construct())
