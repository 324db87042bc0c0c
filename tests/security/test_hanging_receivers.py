"""Attack: let many receivers hang, so that nobody else's webhooks are delivered."""

import asyncio
import time
from ipaddress import ip_network

import pytest

from broker.settings import Settings
from broker.webhooks import endpoints
from tests.broker.webhooks.factories import ENCRYPTION, look, make_endpoint, tell
from tests.factories import make_principal
from tests.workers.services.receiver import answer, receiving
from workers.services.webhook_delivery import Deliverer
from workers.services.webhook_request import HeaderSigner, WebhookClient

HANGING = 200
LIMIT = 15.0
OK = answer(200)


@pytest.fixture
async def deliverer(database):
    settings = Settings.model_construct(allowed_networks=(ip_network("127.0.0.0/8"),))
    deliverer = Deliverer(
        owner="worker-1",
        database=database,
        signer=HeaderSigner(database, ENCRYPTION),
        client=WebhookClient(settings, connections=512, limit=LIMIT),
        republish=lambda _: None,
        shutdown_seconds=0.0,
    )
    yield deliverer
    await deliverer.aclose()


@pytest.fixture
async def dispatched(database, deliverer):
    """Publish what is due four times a second, as the dispatcher does."""
    sending = set()

    async def dispatch():
        while True:
            ids = await asyncio.to_thread(look, database, now=now_ms())
            sending.add(asyncio.create_task(deliverer.send(ids)))
            await asyncio.sleep(0.25)

    loop = asyncio.create_task(dispatch())
    yield
    for task in (loop, *sending):
        task.cancel()


def now_ms():
    return int(time.time() * 1000)


async def until(look_at, seconds):
    """Return how many seconds it took."""
    began = time.monotonic()
    while not look_at():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def test_hanging_receivers_of_one_tenant_do_not_delay_another(
    database, deliverer, dispatched, monkeypatch
):
    monkeypatch.setattr(endpoints, "MAX_ENDPOINTS", HANGING)
    hostile, other = make_principal(database), make_principal(database)
    async with receiving(60.0) as dead, receiving(OK) as healthy:
        # Given a workspace with 200 receivers that hang, and more for each than it may have at once
        for n in range(HANGING):
            make_endpoint(database, hostile.workspace_id, url=f"{dead.url}/{n}")
        for n in range(17):
            tell(database, hostile.workspace_id, subject=f"batch_{n}", now=now_ms())
        await until(lambda: dead.busy >= 64, 20)
        await asyncio.sleep(0.5)
        # When something happens to another one
        make_endpoint(database, other.workspace_id, url=healthy.url)
        tell(database, other.workspace_id, now=now_ms())
        # Then it is told within a second
        assert await until(lambda: healthy.heard, 40) < 1
