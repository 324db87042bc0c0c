"""Deliveries to receivers that fail in every way; the clock is a number, the network is real."""

import asyncio
import ssl
import time
from ipaddress import ip_network

import pytest
import trustme
from standardwebhooks import Webhook

from broker.settings import Settings
from broker.webhooks import (
    Rotation,
    SignatureKind,
    build_job_webhook,
    build_secret_columns,
    find_workspace_secret,
    rotate_endpoint,
)
from broker.webhooks.due import MAX_CONCURRENT
from tests.broker.webhooks.factories import (
    ENCRYPTION,
    deliveries,
    delivery,
    endpoint_row,
    look,
    make_endpoint,
    payload,
    tell,
    tries,
)
from tests.factories import make_principal, write
from tests.workers.services.receiver import answer, receiving
from workers.services.webhook_delivery import INTERRUPTED, Deliverer
from workers.services.webhook_request import MAX_ANSWER_BYTES, HeaderSigner, WebhookClient

LIMIT = 1.5  # seconds, in place of the 15
OK = answer(200, body=b"thanks")
M, H = 60_000, 3_600_000


class Clock:
    """Unix milliseconds, moved by hand. The library checks timestamps: it begins today."""

    def __init__(self):
        self.now = int(time.time() * 1000)

    def __call__(self):
        return self.now


@pytest.fixture
def caller(database):
    return make_principal(database)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def refused():
    """Deliveries that a deliverer refuses."""
    return []


@pytest.fixture
async def hands(database, clock, refused):
    """Makes deliverers that may call this machine."""
    made = []

    def make(networks="127.0.0.0/8", shutdown_seconds=5.0, limit=LIMIT):
        settings = Settings.model_construct(
            allowed_networks=tuple(map(ip_network, filter(None, [networks])))
        )
        deliverer = Deliverer(
            owner=f"worker-{len(made)}",
            database=database,
            signer=HeaderSigner(database, ENCRYPTION),
            client=WebhookClient(settings, connections=100, limit=limit),
            republish=refused.extend,
            shutdown_seconds=shutdown_seconds,
            clock=clock,
        )
        made.append(deliverer)
        return deliverer

    yield make
    for deliverer in made:
        await deliverer.aclose()


async def run_due(deliverer, database, clock):
    """Run dispatcher and worker together until nothing is due."""
    while ids := look(database, now=clock.now):
        await deliverer.send(ids)
        await asyncio.gather(*deliverer._lanes)


def happen(database, caller, clock, count=1, **more):
    for n in range(count):
        tell(database, caller.workspace_id, subject=f"batch_{n}", now=clock.now, **more)


async def test_a_delivery_arrives_signed_with_what_it_says(database, caller, clock, hands):
    async with receiving(OK) as receiver:
        endpoint = make_endpoint(
            database, caller.workspace_id, url=receiver.url, headers={"x-tenant": "7"}
        )
        happen(database, caller, clock)
        await run_due(hands(), database, clock)
    [request] = receiver.heard
    row = delivery(database)
    verified = Webhook(ENCRYPTION.decrypt(endpoint.secret)).verify(request.body, request.headers)
    assert verified == payload(row)
    assert request.headers["webhook-id"] == row.event_id
    assert request.headers["x-tenant"] == "7"
    assert request.headers["content-type"] == "application/json"
    assert row.state == "delivered"
    [tried] = tries(database, row.id)
    assert (tried.status, tried.body, tried.error) == (200, "thanks", None)


async def test_a_jobs_own_url_is_signed_with_the_workspaces_new_secret(
    database, caller, clock, hands
):
    async with receiving(OK) as receiver:
        happen(database, caller, clock, count=2, webhook=build_job_webhook(receiver.url))
        await run_due(hands(), database, clock)
    row = database.read_now(find_workspace_secret, caller.workspace_id)
    for request in receiver.heard:
        assert Webhook(ENCRYPTION.decrypt(row.secret)).verify(request.body, request.headers)
    assert len(receiver.heard) == 2


@pytest.fixture(scope="module")
def self_signed():
    """A certificate that nobody trusts, for a name that nobody asked for."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("other.example").configure_cert(context)
    return context


NINE_BYTES = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"
FAILURES = {
    # how it fails: (behaviour, status on record, words on record, seconds to the next attempt)
    "reset": (None, None, "dropped", 5),
    "not http": ([b"hello\r\n\r\n"], None, "not HTTP", 5),
    "hang": ([9.0], None, "within", 5),
    "slow drip": ([NINE_BYTES, *[b"x", 0.3] * 9], 200, "within", 5),
    "cut": ([NINE_BYTES, b"x"], 200, "dropped", 5),
    "500": ([answer(500, body=b"oh\0no")], 500, None, 5),
    "404": ([answer(404)], 404, None, 5),
    "301": ([answer(301, b"location: /elsewhere")], 301, None, 5),
    "307 to metadata": ([answer(307, b"location: http://169.254.169.254/")], 307, None, 5),
    "429": ([answer(429, b"retry-after: 1800")], 429, None, 1800),
    "503 with a date": ([answer(503, b"retry-after: Fri, 31 Dec 1999 23:59:59 GMT")], 503, None, 5),
    "500 with nonsense": ([answer(500, b"retry-after: soon")], 500, None, 5),
    "500 with 10 MB": ([answer(500, body=b"x" * 10_000_000)], 500, None, 5),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAILURES)
async def test_every_failure_is_recorded_retried_and_healed(kind, database, caller, clock, hands):
    behaviour, status, words, seconds = FAILURES[kind]
    async with receiving(OK) as healthy, receiving() as receiver:
        receiver.behaviour = behaviour
        make_endpoint(database, caller.workspace_id, url=healthy.url)
        endpoint = make_endpoint(database, caller.workspace_id, url=receiver.url)
        happen(database, caller, clock, count=2)
        deliverer = hands()
        await run_due(deliverer, database, clock)
        # Then each attempt is on record, and the next one at its time
        assert len(receiver.heard) == 2
        for row in deliveries(database, endpoint_id=endpoint.id):
            [tried] = tries(database, row.id)
            assert tried.status == status
            assert words is None or words in tried.error
            assert len(tried.body or "") <= 2000
            assert row.state == "pending"
            assert seconds * 1000 <= row.next_at - clock.now <= seconds * 1100
        # And the other endpoint has everything
        assert len(healthy.heard) == 2
        # When the receiver heals
        receiver.behaviour = [OK]
        clock.now += seconds * 1100
        await run_due(deliverer, database, clock)
        # Then it gets everything under the same ids
        assert sorted(receiver.ids[2:]) == sorted(receiver.ids[:2]) == sorted(healthy.ids)
        assert {row.state for row in deliveries(database)} == {"delivered"}
        assert endpoint_row(database, endpoint.id).failing_since is None


async def test_nobody_listens(database, caller, clock, hands):
    async with receiving(OK) as receiver:
        pass
    make_endpoint(database, caller.workspace_id, url=receiver.url)
    happen(database, caller, clock)
    await run_due(hands(), database, clock)
    [tried] = tries(database, delivery(database).id)
    assert tried.error == "no connection could be made."


async def test_a_certificate_that_is_not_valid(database, caller, clock, hands, self_signed):
    async with receiving(OK, tls=self_signed) as receiver:
        make_endpoint(database, caller.workspace_id, url=receiver.url)
        happen(database, caller, clock)
        await run_due(hands(), database, clock)
    assert receiver.heard == []
    [tried] = tries(database, delivery(database).id)
    assert "certificate" in tried.error


async def test_a_long_answer_is_cut_and_still_counts(database, caller, clock, hands):
    async with receiving(answer(200, body=b"x" * 10_000_000)) as receiver:
        make_endpoint(database, caller.workspace_id, url=receiver.url)
        happen(database, caller, clock)
        await run_due(hands(), database, clock)
    row = delivery(database)
    assert row.state == "delivered"
    assert len(tries(database, row.id)[0].body) == 2000
    assert MAX_ANSWER_BYTES == 64_000


async def test_410_closes_the_endpoint(database, caller, clock, hands):
    async with receiving(answer(410)) as receiver:
        endpoint = make_endpoint(database, caller.workspace_id, url=receiver.url)
        happen(database, caller, clock)
        await run_due(hands(), database, clock)
        happen(database, caller, clock)
        await run_due(hands(), database, clock)
    assert len(receiver.heard) == 1
    assert "410" in endpoint_row(database, endpoint.id).disabled_reason
    assert {row.state for row in deliveries(database)} == {"exhausted", "cancelled"}


async def test_a_receiver_that_never_answers_is_asked_ten_times_in_three_days(
    database, caller, clock, hands
):
    async with receiving(answer(503)) as receiver:
        make_endpoint(database, caller.workspace_id, url=receiver.url)
        happen(database, caller, clock)
        began, deliverer = clock.now, hands()
        while (row := delivery(database)).state == "pending":
            clock.now = row.next_at
            await run_due(deliverer, database, clock)
    assert len(receiver.heard) == len(tries(database, row.id)) == 10
    assert set(receiver.ids) == {row.event_id}
    assert row.state == "exhausted"
    assert 75 * H < clock.now - began < 84 * H


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/x",
        "https://127.0.0.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x",
        "https://2130706433/x",
        "https://localhost/x",
        "http://shop.example/x",
        "https://shop.example:22/x",
    ],
)
async def test_the_guard_refuses_and_says_so_without_what_it_found(
    url, database, caller, clock, hands
):
    make_endpoint(database, caller.workspace_id, url=url)
    happen(database, caller, clock)
    await run_due(hands(networks=""), database, clock)
    [tried] = tries(database, delivery(database).id)
    assert tried.error.startswith("The URL may not be called: ")
    assert tried.status is None
    assert "127.0.0.1" not in tried.error


async def test_a_hanging_receiver_holds_up_nobody_and_is_not_crowded(
    database, caller, clock, hands
):
    async with receiving(60.0) as dead, receiving(OK) as healthy:
        make_endpoint(database, caller.workspace_id, url=dead.url)
        make_endpoint(database, caller.workspace_id, url=healthy.url)
        happen(database, caller, clock, count=100)
        deliverer = hands(shutdown_seconds=0.0, limit=60.0)
        # When the dispatcher looks again and again, while the dead one's first attempts still hang
        async with asyncio.timeout(30):
            while len(healthy.heard) < 100:
                await deliverer.send(look(database, now=clock.now))
                await asyncio.sleep(0.01)
        # Then the healthy one has everything
        assert len(set(healthy.ids)) == 100
        assert healthy.busiest <= MAX_CONCURRENT
        assert dead.busiest <= MAX_CONCURRENT
        assert len(dead.heard) <= MAX_CONCURRENT


async def test_a_lane_goes_on_without_the_dispatcher(database, caller, clock, hands):
    async with receiving(OK) as receiver:
        make_endpoint(database, caller.workspace_id, url=receiver.url)
        happen(database, caller, clock, count=50)
        deliverer = hands()
        await deliverer.send(look(database, now=clock.now)[:1])
        await asyncio.gather(*deliverer._lanes)
        unpublished = 50 - MAX_CONCURRENT
        assert len(receiver.heard) == 1 + unpublished
        assert receiver.busiest == 1


async def test_a_lane_is_given_up_where_others_wait_for_one(database, caller, clock, hands):
    async with receiving(OK) as greedy, receiving(OK) as other:
        make_endpoint(database, caller.workspace_id, url=greedy.url, events=["batch.completed"])
        make_endpoint(database, caller.workspace_id, url=other.url, events=["batch.failed"])
        happen(database, caller, clock, count=MAX_CONCURRENT + 20)
        happen(database, caller, clock, type_="batch.failed")
        look(database, now=clock.now)
        deliverer = hands()
        deliverer._free = asyncio.Semaphore(1)
        first = deliveries(database, event_type="batch.completed")[0]
        await deliverer.send([first.id, delivery(database, event_type="batch.failed").id])
        await until(lambda: other.heard)
        assert len(greedy.heard) == 1


async def test_a_rotated_secret_signs_beside_the_new_one(database, caller, clock, hands):
    async with receiving(OK) as receiver:
        endpoint = make_endpoint(database, caller.workspace_id, url=receiver.url)
        columns, new = build_secret_columns(SignatureKind.V1, ENCRYPTION)
        write(
            database,
            rotate_endpoint,
            Rotation(caller.workspace_id, endpoint.id, clock.now, columns),
        )
        happen(database, caller, clock)
        await run_due(hands(), database, clock)
        [request] = receiver.heard
        for secret in (new, ENCRYPTION.decrypt(endpoint.secret)):
            assert Webhook(secret).verify(request.body, request.headers)


async def test_a_shutdown_lets_attempts_finish(database, caller, clock, hands, refused):
    async with receiving(0.2, OK) as receiver:
        make_endpoint(database, caller.workspace_id, url=receiver.url)
        happen(database, caller, clock, count=MAX_CONCURRENT + 3)
        deliverer = hands()
        ids = look(database, now=clock.now)
        await deliverer.send(ids)
        await until(lambda: receiver.busy == MAX_CONCURRENT)
        deliverer.drain()
        await deliverer.send(["dlv_late"])
        await deliverer.aclose()
    assert refused == ["dlv_late"]
    states = sorted(row.state for row in deliveries(database))
    assert states == ["delivered"] * MAX_CONCURRENT + ["pending"] * 3


async def test_a_shutdown_hands_back_what_takes_too_long(database, caller, clock, hands):
    async with receiving(9.0) as receiver:
        make_endpoint(database, caller.workspace_id, url=receiver.url)
        happen(database, caller, clock)
        deliverer = hands(shutdown_seconds=0.0)
        await deliverer.send(look(database, now=clock.now))
        await until(lambda: receiver.busy == 1)
        await deliverer.aclose()
        row = delivery(database)
        assert (row.state, row.failures, row.next_at) == ("pending", 0, clock.now)
        assert tries(database, row.id)[0].error == INTERRUPTED
        receiver.behaviour = [OK]
        await run_due(hands(), database, clock)
    assert delivery(database).state == "delivered"
    assert len(set(receiver.ids)) == 1


async def until(look_):
    async with asyncio.timeout(5):
        while not look_():
            await asyncio.sleep(0.01)
