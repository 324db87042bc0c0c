"""Deliveries: on record with every attempt, listed, sent again one by one or as a range."""

import time

from tests.e2e.hooks import Receiver, Tenant
from tests.installation import free_ports


def test_a_failed_attempt_is_on_record_and_followed_by_another(
    tenant: Tenant, receiver: Receiver
) -> None:
    receiver.answers["/moody"] = 500
    tenant.endpoint(receiver.url("/moody"))
    tenant.ended()
    receiver.await_posts("/moody")
    receiver.answers["/moody"] = 204
    (delivery,) = tenant.deliveries()
    shown = tenant.await_delivery(delivery["id"], "delivered")  # after five seconds
    assert [attempt["http_status"] for attempt in shown["attempts"]] == [500, 204]
    assert [attempt["number"] for attempt in shown["attempts"]] == [1, 2]
    assert len({post.id for post in receiver.at("/moody")}) == 1
    assert shown["ended_at"]


def test_nobody_there(tenant: Tenant) -> None:
    (port,) = free_ports(1)
    tenant.endpoint(f"http://127.0.0.1:{port}/")
    tenant.ended()
    (delivery,) = tenant.deliveries()
    attempt = tenant.await_attempt(delivery["id"])
    assert attempt["http_status"] is None
    assert attempt["error"]


def test_one_delivery_is_sent_again_under_the_same_id(tenant: Tenant, receiver: Receiver) -> None:
    made = tenant.endpoint(receiver.url("/again"))
    tenant.ended()
    (first,) = receiver.await_posts("/again")
    (delivery,) = tenant.deliveries()
    tenant.await_delivery(delivery["id"], "delivered")
    path = f"/webhooks/deliveries/{delivery['id']}/redeliver"
    assert tenant.ask("POST", path, status=202)["status"] == "pending"
    _, second = receiver.await_posts("/again", 2)
    assert (second.id, second.body) == (first.id, first.body)
    assert len(tenant.await_delivery(delivery["id"], "delivered")["attempts"]) == 2
    tenant.change(made, disabled=True)
    assert "disabled" in tenant.ask("POST", path, status=409)["detail"]


def test_what_a_disabled_endpoint_missed_is_replayed(tenant: Tenant, receiver: Receiver) -> None:
    made = tenant.endpoint(receiver.url("/missed"))
    heard = tenant.ended()
    receiver.await_posts("/missed")
    tenant.change(made, disabled=True)
    missed = {tenant.ended()["id"] for _ in range(3)}
    assert {each["status"] for each in tenant.deliveries(status="cancelled")} == {"cancelled"}
    replay = {"endpoint_id": made["id"]}
    refused = tenant.ask("POST", "/webhooks/deliveries/replay", status=409, json=replay)
    assert "enable it first" in refused["detail"]
    tenant.change(made, disabled=False)
    told = tenant.ask("POST", "/webhooks/deliveries/replay", status=202, json=replay)
    assert told["deliveries"] == 3
    posts = receiver.await_posts("/missed", 4)
    assert [post.event["data"]["id"] for post in posts].count(heard["id"]) == 1
    assert missed <= {post.event["data"]["id"] for post in posts}
    assert tenant.ask("POST", "/webhooks/deliveries/replay", status=202)["deliveries"] == 0


def test_a_range_is_replayed_with_what_was_delivered(tenant: Tenant, receiver: Receiver) -> None:
    tenant.endpoint(receiver.url("/range"))
    first = tenant.ended()
    receiver.await_posts("/range")
    time.sleep(0.01)
    middle = time.time()
    second = tenant.ended()
    receiver.await_posts("/range", 2)
    for delivery in tenant.deliveries():
        tenant.await_delivery(delivery["id"], "delivered")
    early, late = tenant.deliveries(until=middle), tenant.deliveries(since=middle)
    assert [each["subject_id"] for each in early] == [first["id"]]
    assert [each["subject_id"] for each in late] == [second["id"]]
    wish = {"since": middle, "until": time.time() + 1, "only_missing": False}
    told = tenant.ask("POST", "/webhooks/deliveries/replay", status=202, json=wish)
    assert told["deliveries"] == 1
    posts = receiver.await_posts("/range", 3)
    assert posts[2].event["data"]["id"] == second["id"]


def test_every_delivery_is_on_one_page(tenant: Tenant, receiver: Receiver) -> None:
    began = time.time()
    made = tenant.endpoint(receiver.url("/pages"))
    other = tenant.endpoint(receiver.url("/others"), events=["job.failed"])
    for _ in range(5):
        tenant.submit()
    bad = tenant.ended("sim-400")
    everything = tenant.await_deliveries(7, limit=100)
    seen: list[str] = []
    page = {"has_more": True, "last_id": None}
    while page["has_more"]:
        after = {"after": page["last_id"]} if page["last_id"] else {}
        page = tenant.ask(
            "GET", "/webhooks/deliveries", params={"limit": 3, "since": began, **after}
        )
        ids = [each["id"] for each in page["data"]]
        assert (page["first_id"], page["last_id"]) == (ids[0], ids[-1])
        seen += ids
    assert seen == sorted({each["id"] for each in everything}, reverse=True)
    assert len(tenant.deliveries(endpoint_id=made["id"])) == 6
    (only,) = tenant.deliveries(endpoint_id=other["id"], event_type="job.failed")
    assert only["subject_id"] == bad["id"]
    assert len(tenant.deliveries(subject_id=bad["id"])) == 2
    assert tenant.deliveries(since=time.time() + 60) == []
    assert tenant.deliveries(until=began - 60) == []
    assert tenant.deliveries(status="exhausted") == []


def test_gone_disables_an_endpoint_and_the_others_hear_of_it(
    tenant: Tenant, receiver: Receiver
) -> None:
    receiver.answers["/gone"] = 410
    gone = tenant.endpoint(receiver.url("/gone"))
    tenant.endpoint(receiver.url("/watch"), events=["endpoint.disabled"])
    tenant.ended()
    (post,) = receiver.await_posts("/watch")
    assert post.event["type"] == "endpoint.disabled"
    assert post.event["data"]["id"] == gone["id"]
    shown = tenant.ask("GET", f"/webhooks/endpoints/{gone['id']}")
    assert shown["disabled"]
    assert "410" in shown["disabled_reason"]
    tenant.ended()
    (attempted,) = receiver.at("/gone")
    missed = tenant.deliveries(endpoint_id=gone["id"], status="cancelled")
    assert attempted.id not in {each["event_id"] for each in missed}
    assert len(missed) == 1
