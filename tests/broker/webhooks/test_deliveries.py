import asyncio
from types import SimpleNamespace

import pytest

from broker import webhooks
from broker.errors import ConflictError, NotFoundError
from broker.webhooks import (
    DeliveryFilter,
    DeliveryReplay,
    build_job_event,
    build_job_webhook,
    fan_out,
)
from broker.webhooks.claims import ClaimNext
from broker.webhooks.due import (
    MAX_CONCURRENT,
    MAX_CONCURRENT_FAILING,
    MAX_CONCURRENT_TOTAL,
    MAX_PUBLISHED,
    MIN_SHARE,
    RECEIVERS_PER_QUERY,
    REPUBLISH_MS,
    publish_due,
)
from broker.webhooks.records import LOST, record_many
from broker.webhooks.schedule import DISABLE_AFTER_MS, Interrupted
from tests.broker.webhooks.factories import (
    ENCRYPTION,
    LEASE,
    attempt,
    claim,
    claim_next,
    deliveries,
    delivery,
    end,
    endpoint_row,
    look,
    make_endpoint,
    record,
    rescue,
    tell,
    tries,
)
from tests.factories import NOW, make_principal, run, write

S, M, H, DAY = 1_000, 60_000, 3_600_000, 24 * 3_600_000


@pytest.fixture
def endpoint(database, caller):
    return make_endpoint(database, caller.workspace_id)


def make_deliveries(database, caller, count, *, now=NOW):
    """Deliveries a millisecond apart; return their ids, oldest first."""
    for n in range(count):
        tell(database, caller.workspace_id, subject=f"batch_{n}", now=now - count + n)
    return [row.id for row in deliveries(database)]


def test_a_claim_has_all_that_sending_needs(database, caller, endpoint):
    tell(database, caller.workspace_id)
    row = delivery(database)
    claimed = claim(database, row.id)
    assert (claimed.url, claimed.payload, claimed.attempt) == (endpoint.url, row.payload, 1)
    assert claimed.secrets == (endpoint.secret,)
    assert claimed.event_id == row.event_id
    assert claim(database, row.id) is None
    assert delivery(database).lease_expires_at == NOW + LEASE


def test_a_jobs_own_webhook_is_signed_with_the_workspaces_secret(database, caller):
    own = build_job_webhook("https://me.example/x")
    tell(database, caller.workspace_id, webhook=own)
    tell(database, caller.workspace_id, webhook=own, now=NOW + 1)
    first, second = deliveries(database)
    assert claim(database, first.id).secrets == ()  # it has none yet: its worker makes one
    write(
        database,
        webhooks.ensure_workspace_secret,
        webhooks.NewWorkspaceSecret(caller.workspace_id, ENCRYPTION.encrypt("whsec_x"), NOW),
    )
    [sealed] = claim(database, second.id, now=NOW + 1).secrets
    assert ENCRYPTION.decrypt(sealed) == "whsec_x"


def test_a_delivered_delivery_is_done(database, caller, endpoint):
    [id_] = make_deliveries(database, caller, 1)
    claimed = claim(database, id_)
    assert record(database, end(claimed, 204, body="thanks", now=NOW + 7)) == [True]
    row = delivery(database)
    assert (row.state, row.ended_at, row.lease_owner) == ("delivered", NOW + 7, None)
    [tried] = tries(database, id_)
    assert (tried.number, tried.status, tried.error, tried.body) == (1, 204, None, "thanks")
    assert record(database, end(claimed, 500)) == [False]
    assert look(database, now=NOW + DAY) == []


def test_the_whole_schedule_under_one_webhook_id(database, caller, endpoint):
    # Given a receiver that fails every time
    [id_] = make_deliveries(database, caller, 1)
    event_id, now, waits = delivery(database).event_id, NOW, []
    # When each attempt is made as soon as it is due
    while (row := delivery(database)).state == "pending":
        assert claim(database, id_, now=row.next_at - 1) is None or row.attempt == 0
        waits.append(row.next_at - now)
        now = max(row.next_at, NOW)
        if row.attempt:
            assert look(database, now=now) == [id_]
        attempt(database, id_, 500, now=now)
    # Then there were ten, and the last one was the end
    assert waits[1:] == [5 * S, 5 * M, 30 * M, 2 * H, 5 * H, 10 * H, 14 * H, 20 * H, 24 * H]
    assert (row.state, row.event_id, row.attempt) == ("exhausted", event_id, 10)
    assert [each.status for each in tries(database, id_)] == [500] * 10
    assert not endpoint_row(database, endpoint.id).disabled


def test_an_endpoint_is_disabled_after_five_days_of_failures(database, caller, endpoint):
    other = make_endpoint(database, caller.workspace_id, events=["endpoint.disabled"])
    make_deliveries(database, caller, 4)
    first, second, third, waiting = (row.id for row in deliveries(database))
    attempt(database, first, 500)
    assert endpoint_row(database, endpoint.id).failing_since == NOW
    attempt(database, second, 500, now=NOW + DISABLE_AFTER_MS - 1)
    assert not endpoint_row(database, endpoint.id).disabled
    attempt(database, third, None, now=NOW + DISABLE_AFTER_MS)
    row = endpoint_row(database, endpoint.id)
    assert (row.disabled, row.disabled_at) == (True, NOW + DISABLE_AFTER_MS)
    assert "5 days" in row.disabled_reason
    assert delivery(database, id=waiting).state == "cancelled"
    assert delivery(database, event_type="endpoint.disabled").endpoint_id == other.id


def test_one_success_is_a_fresh_start(database, caller, endpoint):
    first, second, third = make_deliveries(database, caller, 3)
    attempt(database, first, 500)
    attempt(database, second, 200, now=NOW + DAY)
    assert endpoint_row(database, endpoint.id).failing_since is None
    attempt(database, third, 500, now=NOW + DISABLE_AFTER_MS)
    assert not endpoint_row(database, endpoint.id).disabled


def test_a_gone_url_of_a_job_ends_that_delivery_only(database, caller):
    tell(database, caller.workspace_id, webhook=build_job_webhook("https://me.example/x"))
    attempt(database, delivery(database).id, 410)
    assert delivery(database).state == "exhausted"


def test_what_a_lost_worker_held_is_sent_again(database, caller, endpoint):
    """Killed between POST and record: the same webhook-id again, and the gap is on record."""
    [id_] = make_deliveries(database, caller, 1)
    lost = claim(database, id_)
    assert rescue(database, now=NOW + LEASE) == 0
    assert rescue(database, now=NOW + LEASE + 1) == 1
    again = claim(database, id_, now=NOW + LEASE + 1)
    assert (again.attempt, again.event_id, again.failures) == (2, lost.event_id, 0)
    # The worker was only slow: what it knows comes too late, and changes nothing
    assert record(database, end(lost, 200)) == [False]
    assert record(database, end(again, 200, now=NOW + LEASE + 5)) == [True]
    assert [(each.number, each.error) for each in tries(database, id_)] == [(1, LOST), (2, None)]


def test_a_worker_known_to_be_dead_is_not_waited_for(database, caller, endpoint):
    mine, other = make_deliveries(database, caller, 2)
    claim(database, mine, owner="dead")
    claim(database, other, owner="alive")
    assert rescue(database, now=NOW, owner="dead") == 1
    assert delivery(database, id=other).state == "running"


def test_what_a_shutdown_interrupts_costs_no_place_in_the_schedule(database, caller, endpoint):
    [id_] = make_deliveries(database, caller, 1)
    record(database, end(claim(database, id_), None, decision=Interrupted(), error="shutdown"))
    row = delivery(database)
    assert (row.state, row.failures, row.next_at) == ("pending", 0, NOW)
    assert endpoint_row(database, endpoint.id).failing_since is None


def test_what_is_due_is_published_shallow_for_each_receiver(database, caller, endpoint):
    # Given more than one receiver can have at once, and another receiver with one
    ids = make_deliveries(database, caller, MAX_CONCURRENT + 4)
    tell(
        database, caller.workspace_id, subject="x", webhook=build_job_webhook("https://me.example/")
    )
    own = delivery(database, endpoint_id=None).id
    # Then the look takes the oldest of the one, and the other's
    assert set(look(database)) == {*ids[:MAX_CONCURRENT], own}
    assert look(database) == []
    # And a lane that has delivered takes the next by itself
    attempt(database, ids[0])
    [following] = claim_next(database, endpoint.id)
    assert following.id == ids[MAX_CONCURRENT]
    assert look(database) == []
    # And what nobody claimed is published again, as far as there is room
    again = look(database, now=NOW + REPUBLISH_MS)
    assert own in again
    assert len(again) == MAX_CONCURRENT
    assert not {ids[0], following.id} & set(again)


def test_any_number_of_receivers_is_published_in_short_looks(database, caller):
    events = [
        build_job_event(
            SimpleNamespace(
                id=f"job_{n}",
                workspace_id=f"ws_{n}",
                webhook=build_job_webhook(f"https://host{n}.example/"),
            ),
            "completed",
            NOW,
        )
        for n in range(2 * MAX_PUBLISHED)
    ]
    with database.transaction() as connection:
        fan_out(connection, events)
    first, second = look(database, now=NOW), look(database, now=NOW)
    assert MAX_PUBLISHED <= len(first) < MAX_PUBLISHED + MAX_CONCURRENT * RECEIVERS_PER_QUERY
    assert len(first) + len(second) == 2 * MAX_PUBLISHED
    assert not set(first) & set(second)


@pytest.mark.parametrize("workspaces", [1, 3, 100])
def test_workspaces_share_the_lanes_and_leave_one_share_free(database, workspaces):
    # Given workspaces with more receivers than there are lanes
    callers = [make_principal(database, name=f"w{n}") for n in range(workspaces)]
    for caller in callers:
        for n in range(MAX_CONCURRENT_TOTAL // MAX_CONCURRENT + 1 if workspaces < 100 else 1):
            webhook = build_job_webhook(f"https://host{n}.example/")
            for _ in range(MAX_CONCURRENT):
                tell(database, caller.workspace_id, subject=f"x{n}", webhook=webhook)
    # When the dispatcher looks, as often as it likes
    share = max(MAX_CONCURRENT_TOTAL // (workspaces + 1), MIN_SHARE)
    assert len(look(database)) == workspaces * share
    assert look(database) == []


def test_failing_endpoints_leave_lanes_to_the_others_of_their_workspace(database, caller):
    failing = [
        make_endpoint(database, caller.workspace_id, url=f"https://h{n}.example/")
        for n in range(60)
    ]
    tell(database, caller.workspace_id)
    for row in deliveries(database):
        attempt(database, row.id, 500)
    for n in range(MAX_CONCURRENT_FAILING):
        tell(database, caller.workspace_id, subject=f"batch_{n}")
    assert {endpoint_row(database, each.id).failing_since for each in failing} == {NOW}
    assert len(look(database)) == MAX_CONCURRENT_TOTAL // 4
    tell(
        database, caller.workspace_id, subject="x", webhook=build_job_webhook("https://me.example/")
    )
    assert delivery(database, endpoint_id=None).id in look(database)


def test_a_failing_endpoint_has_fewer_lanes(database, caller, endpoint):
    ids = make_deliveries(database, caller, 8)
    attempt(database, ids[0], 500)
    assert look(database) == ids[1 : 1 + MAX_CONCURRENT_FAILING]


def test_next_ones_are_given_to_as_many_as_ask(database, caller, endpoint):
    ids = make_deliveries(database, caller, 3)
    asked = claim_next(database, endpoint.id, count=5)
    assert [each and each.id for each in asked] == [*ids, None, None]
    assert claim_next(database, "whep_none") == [None]


def test_a_lane_takes_its_next_delivery_as_it_records_the_last(database, caller, endpoint):
    ids = make_deliveries(database, caller, MAX_CONCURRENT + 2)
    look(database)
    claimed = [claim(database, id_) for id_ in ids[:3]]
    then = ClaimNext(endpoint.id, "worker-1", NOW, LEASE)
    endings = [
        end(each, status, next_claim=then)
        for each, status in zip(claimed, (200, 500, 200), strict=True)
    ]
    following = [
        each.next_delivery and each.next_delivery.id
        for each in run(database, record_many, *endings)
    ]
    # Who failed stops; the others go on, and no dispatcher sees their lanes as free
    assert following == [ids[MAX_CONCURRENT], None, ids[MAX_CONCURRENT + 1]]


async def test_two_dispatchers_at_once_publish_nothing_twice(url, database, connect, caller):
    make_endpoint(database, caller.workspace_id)
    ids = make_deliveries(database, caller, 10)
    looks = [each.write(publish_due, NOW) for each in (connect(url), connect(url))]
    published = [id_ for found in await asyncio.gather(*looks) for id_ in found]
    assert sorted(published) == sorted(ids)


def test_a_rate_limit_spaces_deliveries(database, caller):
    endpoint = make_endpoint(database, caller.workspace_id, rate_limit=60)
    ids = make_deliveries(database, caller, 3)
    taken = [claim(database, id_) for id_ in ids]
    assert [each is not None for each in taken] == [True, False, False]
    assert claim_next(database, endpoint.id, now=NOW + 999) == [None]
    waiting = [row.next_at - NOW for row in deliveries(database, state="pending")]
    assert waiting == [S, S]
    assert claim_next(database, endpoint.id, now=NOW + S, count=2)[0].id == ids[1]
    assert delivery(database, id=ids[2]).next_at == NOW + 2 * S


def test_a_delivery_whose_endpoint_closed_meanwhile_is_cancelled(database, caller, endpoint):
    [id_] = make_deliveries(database, caller, 1)
    claimed = claim(database, id_)
    write(database, webhooks.delete_endpoint, caller.workspace_id, endpoint.id, NOW)
    record(database, end(claimed, 500))
    assert claim(database, id_, now=NOW + DAY) is None
    assert delivery(database).state == "cancelled"


@pytest.mark.parametrize("status", [200, 410, 500])
def test_redelivery_starts_the_schedule_anew(database, caller, status):
    tell(database, caller.workspace_id, webhook=build_job_webhook("https://me.example/"))
    row = delivery(database)
    attempt(database, row.id, status)
    again = write(database, webhooks.redeliver, caller.workspace_id, row.id, NOW + 5)
    assert (again.state, again.failures, again.event_id) == ("pending", 0, row.event_id)
    assert look(database, now=NOW + 5) == [row.id]
    attempt(database, row.id, 200, now=NOW + 5)
    assert [each.number for each in tries(database, row.id)] == [1, 2]


def test_redelivery_is_refused_where_it_cannot_arrive(database, caller, endpoint):
    [id_] = make_deliveries(database, caller, 1)
    attempt(database, id_, 410)
    stranger = make_principal(database).workspace_id
    with pytest.raises(ConflictError):
        write(database, webhooks.redeliver, caller.workspace_id, id_, NOW)
    with pytest.raises(NotFoundError):
        write(database, webhooks.redeliver, stranger, id_, NOW)


def test_replays_of_a_range_and_of_all_that_is_missing(database, caller, endpoint):
    # Given one delivered, one cancelled and one exhausted delivery, an hour apart
    for n in range(3):
        tell(database, caller.workspace_id, subject=f"batch_{n}", now=NOW + n * H)
    delivered, cancelled, exhausted = (row.id for row in deliveries(database))
    late = NOW + 3 * H
    attempt(database, delivered, 200, now=late)
    attempt(database, exhausted, 410, now=late)
    assert delivery(database, id=cancelled).state == "cancelled"
    everything = DeliveryReplay(caller.workspace_id, late)
    assert write(database, webhooks.replay, everything) == 0  # its endpoint is disabled
    enable = webhooks.EndpointChange(caller.workspace_id, endpoint.id, late, {"disabled": False})
    write(database, webhooks.update_endpoint, enable)
    # When what is missing is replayed from the second hour on, then the range with the delivered
    later = DeliveryReplay(caller.workspace_id, late, endpoint.id, since=NOW + 2 * H)
    assert write(database, webhooks.replay, later) == 1
    assert write(database, webhooks.replay, everything) == 1
    both = DeliveryReplay(caller.workspace_id, late, until=NOW + H, only_missing=False)
    assert write(database, webhooks.replay, both) == 1
    # Then each waits for a first attempt again
    assert {row.state for row in deliveries(database)} == {"pending"}
    assert write(database, webhooks.replay, DeliveryReplay("ws_other", late)) == 0


def test_deliveries_are_listed_newest_first_and_found(database, caller, endpoint):
    ids = make_deliveries(database, caller, 3)
    attempt(database, ids[1], 500)

    def listed(*args):
        rows = database.read_now(webhooks.list_deliveries, caller.workspace_id, *args)
        return [row.id for row in rows]

    newest = sorted(ids, reverse=True)
    assert listed(10) == newest
    assert listed(1, newest[0]) == newest[1:2]
    assert listed(10, None, DeliveryFilter(subject_id="batch_1")) == [ids[1]]
    assert listed(10, None, DeliveryFilter(endpoint_id="whep_none")) == []
    assert listed(10, None, DeliveryFilter(state=webhooks.DeliveryState.DELIVERED)) == []
    found = database.read_now(webhooks.find_delivery, caller.workspace_id, ids[1])
    assert [each.status for each in found.attempts] == [500]
    with pytest.raises(NotFoundError):
        database.read_now(webhooks.find_delivery, "ws_other", ids[1])
