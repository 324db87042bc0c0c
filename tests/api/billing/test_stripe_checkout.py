"""Stripe Checkout: pages from a Stripe that stands in, messages signed as Stripe signs them."""

import time

import httpx
import pytest

from api.billing.stripe_checkout import ReceivedPayment, StripeCheckout, find_provider
from broker.accounts import Role
from broker.errors import InvalidRequestError
from broker.settings import Settings
from tests.api.billing.stripe import SECRET, event, pretended_stripe, signed
from tests.api.conftest import ORIGIN, running, settings_for
from tests.api.visitors import make_user, send, sign_in

pytest.importorskip("stripe")


def settings(**more):
    return Settings.model_construct(
        stripe_api_key="sk_test_x", stripe_webhook_secret=SECRET, **more
    )


def test_a_paid_session_is_a_payment_with_its_own_reference():
    body = event()
    paid = StripeCheckout(settings()).read_payment(body, signed(body))
    assert paid == ReceivedPayment("ws_1", 25_500_000_000, "cs_test_1")


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
    assert StripeCheckout(settings()).read_payment(body, signed(body)) is None


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
        StripeCheckout(settings()).read_payment(event(), signature)
    assert refusal.value.param == "Stripe-Signature"


@pytest.fixture
def stripe_api():
    with pretended_stripe() as api:
        yield api


async def test_a_page_is_for_one_workspace_and_amount(stripe_api):
    base, asked = stripe_api
    checkout = StripeCheckout(settings(stripe_api_base=base))
    url = await checkout.create_page("ws_1", 2_550, "https://app.example/credits")
    assert url == "https://pay.example/1"
    assert asked[0]["metadata[workspace_id]"] == ["ws_1"]
    assert asked[0]["line_items[0][price_data][unit_amount]"] == ["2550"]


@pytest.fixture
async def selling(database_url, stripe_api, tmp_path):
    """An API that takes payments, with a fee of 5 %, and a workspace without credit."""
    config = settings_for(
        tmp_path,
        database_url=database_url,
        stripe_api_key="sk_test_x",
        stripe_webhook_secret=SECRET,
        stripe_api_base=stripe_api[0],
        topup_fee_percent="5",
    )
    async with running(config) as api:
        yield api


async def told(api, body, signature=None):
    """Tell Waybill what Stripe tells it."""
    return await api.http.post(
        "/api/v1/credits/stripe",
        content=body,
        headers={"Stripe-Signature": signed(body) if signature is None else signature},
    )


async def credit(api, key):
    return (await api.ask("GET", "/credits", key)).json()["data"]


async def test_a_workspace_is_given_a_page_to_pay_its_own_credit_on(selling, stripe_api):
    key = selling.key(selling.workspace(unlimited=False))
    wanted = {"amount": 25.5, "return_url": "https://app.example/credits"}
    answer = await selling.ask("POST", "/credits/checkout", key, json=wanted)
    assert (answer.status_code, answer.json()) == (201, {"data": {"url": "https://pay.example/1"}})
    [asked] = stripe_api[1]
    about = (await selling.ask("GET", "/key", key)).json()["data"]
    assert asked["metadata[workspace_id]"] == [about["workspace_id"]]
    assert asked["line_items[0][price_data][unit_amount]"] == ["2550"]
    for wrong in ({"amount": 0}, {"amount": 5}, wanted | {"workspace_id": "ws_of_another"}):
        refused = await selling.ask("POST", "/credits/checkout", key, json=wrong)
        assert refused.status_code == 400
    assert len(stripe_api[1]) == 1


async def test_a_paid_session_is_credited_once_however_often_it_is_told(selling):
    workspace_id = selling.workspace(unlimited=False)
    key, about = selling.key(workspace_id), {"metadata": {"workspace_id": workspace_id}}
    session = about | {"id": "cs_test_1"}
    messages = [
        event(**session),
        event(**session),  # sent again, as Stripe does until it is answered
        event(event_id="evt_2", **session),  # re-sent from the dashboard of another endpoint
        event("checkout.session.async_payment_succeeded", event_id="evt_3", **session),
    ]
    for body in messages:
        answer = await told(selling, body)
        assert (answer.status_code, answer.json()) == (200, {"received": True})
    standing = await credit(selling, key)
    assert standing["total_credits"] == pytest.approx(25.50 * 0.95)
    assert standing["balance"] == standing["total_credits"]
    # And another session is another payment
    await told(selling, event(event_id="evt_4", **about, id="cs_test_2"))
    assert (await credit(selling, key))["total_credits"] == pytest.approx(2 * 25.50 * 0.95)
    audited = (await selling.ask("GET", "/audit?action=credits.add")).json()
    assert [each["actor"] for each in audited["data"]] == ["stripe", "stripe"]


@pytest.mark.parametrize(
    "body",
    [
        event("customer.created"),
        event("checkout.session.expired"),
        b'{"id": "evt_9", "object": "v2.core.event", "type": "v2.core.account.created"}',
    ],
    ids=["another object", "another event", "without an object"],
)
async def test_events_of_other_types_are_received_and_passed_over(selling, body):
    answer = await told(selling, body)
    assert (answer.status_code, answer.json()) == (200, {"received": True})


@pytest.mark.parametrize("secret", ["whsec_of_another", ""])
async def test_a_message_that_stripe_did_not_sign_credits_nothing(selling, secret):
    workspace_id = selling.workspace(unlimited=False)
    body = event(metadata={"workspace_id": workspace_id})
    signature = signed(body, secret=secret) if secret else ""
    refused = await told(selling, body, signature)
    assert refused.status_code == 400
    assert "Stripe-Signature" in refused.text
    assert (await credit(selling, selling.key(workspace_id)))["total_credits"] == 0


def test_without_settings_there_is_no_payment_provider():
    with pytest.raises(InvalidRequestError, match="WAYBILL_STRIPE_API_KEY"):
        find_provider(Settings.model_construct())


async def test_a_page_of_the_dashboard_leads_to_the_page_to_pay_on(selling, stripe_api):
    make_user(selling, role=Role.OWNER)
    transport = httpx.ASGITransport(selling.app)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as browser:
        await sign_in(browser)
        page = "/w/default/credits"
        answer = await send(browser, f"{page}/checkout", show=page, amount="12.50")
    assert 'href="https://pay.example/1"' in answer.text
    [asked] = stripe_api[1]
    assert asked["line_items[0][price_data][unit_amount]"] == ["1250"]
    assert asked["success_url"] == [f"{ORIGIN}{page}"]
