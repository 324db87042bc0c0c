"""A job's end is told: to the URL it names itself, and to every endpoint that wants to hear."""

import time

import pytest

from tests.e2e.hooks import Receiver, Tenant
from tests.installation import chat


def test_a_job_tells_its_own_url(tenant: Tenant, receiver: Receiver) -> None:
    url = receiver.url("/own")
    job = tenant.ended(webhook={"url": url})
    (post,) = receiver.await_posts("/own")
    event = post.verified(tenant.secret())
    assert event["type"] == "job.completed"
    assert event["data"] == {"id": job["id"], "object": "job", "status": "completed"}
    (delivery,) = tenant.deliveries(subject_id=job["id"])
    assert (delivery["event_id"], delivery["url"]) == (post.id, url)
    tenant.await_delivery(delivery["id"], "delivered")
    shown = tenant.ask("GET", f"/jobs/{job['id']}")
    assert shown["webhook"] == {"url": url, "events": []}
    (told,) = shown["deliveries"]
    assert told == {
        "id": delivery["id"],
        "status": "delivered",
        "event_type": "job.completed",
        "endpoint_id": None,
        "url": url,
        "attempt": 1,
    }


@pytest.mark.parametrize("form", ["callback_url", "plain body", "plain body, whole"])
def test_the_url_may_be_given_in_short(tenant: Tenant, receiver: Receiver, form: str) -> None:
    path = f"/short/{form.replace(' ', '-')}"
    if form == "callback_url":
        body = {"body": chat("sim-echo"), "callback_url": receiver.url(path)}
    elif form == "plain body":
        body = chat("sim-echo") | {"callback_url": receiver.url(path)}
    else:
        body = chat("sim-echo") | {"webhook": {"url": receiver.url(path)}}
    job = tenant.ask("POST", "/jobs", status=202, json=body)
    assert job["webhook"] == {"url": receiver.url(path), "events": []}
    (post,) = receiver.await_posts(path)
    assert post.verified(tenant.secret())["data"]["id"] == job["id"]


@pytest.mark.parametrize("form", ["webhook", "callback_url"])
def test_a_call_may_name_its_receiver(tenant: Tenant, receiver: Receiver, form: str) -> None:
    url = receiver.url(f"/call/{form}")
    own = {"webhook": {"url": url}} if form == "webhook" else {"callback_url": url}
    answer = tenant.ask("POST", "/chat/completions", json=chat("sim-echo") | own)
    assert answer["choices"]
    (post,) = receiver.await_posts(f"/call/{form}")
    assert post.verified(tenant.secret())["type"] == "job.completed"


@pytest.mark.parametrize("wrong", ["https://a.example", {"url": 3}])
def test_a_receiver_that_is_wrong_is_refused_by_name(tenant: Tenant, wrong: object) -> None:
    body = chat("sim-echo") | {"webhook": wrong}
    refused = tenant.ask("POST", "/chat/completions", status=400, json=body)
    assert refused["error"]["message"].startswith("webhook")


def test_a_receiver_inside_a_jobs_body_is_refused(tenant: Tenant, receiver: Receiver) -> None:
    inner = chat("sim-echo") | {"webhook": {"url": receiver.url("/inner")}}
    refused = tenant.ask("POST", "/jobs", status=400, json={"body": inner})
    assert refused["param"] == "body.webhook"


def test_a_filter_of_a_job_lets_through_what_it_names(tenant: Tenant, receiver: Receiver) -> None:
    only_failures = {"url": receiver.url("/failures"), "events": ["job.failed"]}
    fine = tenant.ended(webhook=only_failures)
    bad = tenant.ended("sim-400", webhook=only_failures)
    (post,) = receiver.await_posts("/failures")
    assert post.event["type"] == "job.failed"
    assert post.event["data"]["id"] == bad["id"]
    assert tenant.deliveries(subject_id=fine["id"]) == []
    assert tenant.ask("GET", f"/jobs/{fine['id']}")["deliveries"] == []


def test_an_endpoint_hears_of_what_it_asked_for(tenant: Tenant, receiver: Receiver) -> None:
    everything = tenant.endpoint(receiver.url("/everything"))
    failures = tenant.endpoint(receiver.url("/only-failures"), events=["job.failed"])
    fine, bad = tenant.ended(), tenant.ended("sim-400")
    posts = receiver.await_posts("/everything", 2)
    told = {post.verified(everything["secret"])["data"]["id"]: post for post in posts}
    assert set(told) == {fine["id"], bad["id"]}
    (post,) = receiver.await_posts("/only-failures")
    assert post.verified(failures["secret"])["data"]["id"] == bad["id"]
    assert post.id == told[bad["id"]].id  # one event, one id, whoever hears of it


def test_every_end_has_its_event(tenant: Tenant, receiver: Receiver) -> None:
    tenant.endpoint(receiver.url("/ends"))
    waiting = tenant.submit(not_before=time.time() + 3600)
    tenant.ask("POST", f"/jobs/{waiting}/cancel")
    tenant.ended("sim-reset", on_unknown="hold")
    posts = receiver.await_posts("/ends", 2)
    assert {post.event["type"] for post in posts} == {"job.cancelled", "job.needs_review"}


def test_a_full_event_has_the_whole_job(tenant: Tenant, receiver: Receiver) -> None:
    tenant.endpoint(receiver.url("/thin"))
    tenant.endpoint(receiver.url("/full"), payload="full")
    job = tenant.ended()
    (thin,), (full,) = receiver.await_posts("/thin"), receiver.await_posts("/full")
    assert set(thin.event["data"]) == {"id", "object", "status"}
    sent = full.event["data"]
    assert sent["response"] == job["response"]
    assert sent["usage"] == job["usage"]
    assert sent["attempts"] == job["attempts"]
    assert set(job) - set(sent) <= {"webhook", "deliveries"}


def test_headers_of_its_owner_are_sent_along(tenant: Tenant, receiver: Receiver) -> None:
    tenant.endpoint(receiver.url("/headers"), headers={"Authorization": "Bearer hush"})
    tenant.ended()
    (post,) = receiver.await_posts("/headers")
    assert post.headers["authorization"] == "Bearer hush"
    assert post.headers["content-type"] == "application/json"


def test_a_synchronous_call_is_told_too(tenant: Tenant, receiver: Receiver) -> None:
    tenant.endpoint(receiver.url("/sync"))
    answer = tenant.http.post("/chat/completions", json=chat("sim-echo"))
    (post,) = receiver.await_posts("/sync")
    assert post.event["data"]["id"] == answer.headers["x-job-id"]


def test_another_workspace_is_told_nothing(
    tenant: Tenant, stranger: Tenant, receiver: Receiver
) -> None:
    stranger.endpoint(receiver.url("/stranger"))
    job = tenant.ended(webhook={"url": receiver.url("/mine")})
    receiver.await_posts("/mine")
    assert receiver.at("/stranger") == []
    assert stranger.deliveries() == []
    (delivery,) = tenant.deliveries()
    stranger.ask("GET", f"/webhooks/deliveries/{delivery['id']}", status=404)
    stranger.ask("POST", f"/webhooks/deliveries/{delivery['id']}/redeliver", status=404)
    everything = {"only_missing": False}
    told = stranger.ask("POST", "/webhooks/deliveries/replay", status=202, json=everything)
    assert told["deliveries"] == 0
    stranger.ask("GET", f"/jobs/{job['id']}", status=404)
