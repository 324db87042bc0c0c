"""Makes what webhook tests are about: endpoints, events, claims, endings."""

import orjson
from sqlalchemy import select

from broker import webhooks
from broker.security.encryption import Encryption
from broker.storage.tables import Delivery, DeliveryAttempt, WebhookEndpoint
from broker.webhooks import EndpointOptions, claims, due, records
from broker.webhooks import records as leases
from broker.webhooks.claims import ClaimDelivery, ClaimNext
from broker.webhooks.records import DeliveryEnding
from broker.webhooks.schedule import decide
from tests.factories import NOW, run, write

ENCRYPTION = Encryption(b"the key of these tests")
URL = "https://shop.example/hook"
LEASE = 60_000


def make_endpoint(database, workspace_id, *, url=URL, now=NOW, **wish):
    """Insert an endpoint; return its row."""
    row, _ = webhooks.build_endpoint(EndpointOptions(url, **wish), workspace_id, ENCRYPTION, now)
    return write(database, webhooks.create_endpoint, row)


def endpoint_row(database, endpoint_id):
    query = select(WebhookEndpoint.__table__).filter_by(id=endpoint_id)
    return database.read_now(lambda connection: connection.execute(query).one())


def tell(database, workspace_id, *, type_="batch.completed", subject="batch_1", now=NOW, **more):
    """An event happens; return how many deliveries it made."""
    event = webhooks.WebhookEvent(workspace_id, type_, subject, now, {"id": subject}, **more)
    with database.transaction() as connection:
        return webhooks.fan_out(connection, [event])


def deliveries(database, **columns):
    """The rows of deliveries, oldest first."""
    query = select(Delivery.__table__).filter_by(**columns).order_by("created_at", "id")
    return database.read_now(lambda connection: connection.execute(query).all())


def delivery(database, **columns):
    [row] = deliveries(database, **columns)
    return row


def tries(database, delivery_id):
    """The attempts of a delivery, in order."""
    query = select(DeliveryAttempt.__table__).filter_by(delivery_id=delivery_id).order_by("number")
    return database.read_now(lambda connection: connection.execute(query).all())


def payload(row):
    return orjson.loads(row.payload)


def claim(database, delivery_id, *, now=NOW, owner="worker-1"):
    wish = ClaimDelivery(delivery_id, owner, now, LEASE)
    [claimed] = run(database, claims.claim_many, wish)
    return claimed


def claim_next(database, receiver, *, now=NOW, count=1):
    wishes = [ClaimNext(receiver, "worker-1", now, LEASE)] * count
    return run(database, claims.claim_next_many, *wishes)


def look(database, *, now=NOW):
    return write(database, due.publish_due, now)


def end(claimed, status=200, *, now=NOW, jitter=0.0, **more):
    """Return the end of an attempt, with the decision of a worker."""
    following = more.pop("decision", None) or decide(
        status, failures=claimed.failures, now=now, jitter=jitter
    )
    return DeliveryEnding(claimed, now, now, following, status=status, **more)


def record(database, *endings):
    """Record endings; tell which of them were of the deliveries' present attempts."""
    return [recorded.is_current for recorded in run(database, records.record_many, *endings)]


def attempt(database, delivery_id, status=200, *, now=NOW):
    """Claim and record one attempt."""
    assert record(database, end(claim(database, delivery_id, now=now), status, now=now)) == [True]


def rescue(database, *, now, owner=None):
    return write(database, leases.rescue, now, owner)
