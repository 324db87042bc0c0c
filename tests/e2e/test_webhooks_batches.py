"""A batch's end is told by a signed webhook: at least once, and off the workers' path.

Complaint: there was none; whoever ran a batch had to poll.
"""

from tests.e2e.batching import line
from tests.e2e.hooks import Receiver, Tenant


def test_a_batch_tells_its_own_url_and_an_endpoint(tenant: Tenant, receiver: Receiver) -> None:
    tenant.endpoint(receiver.url("/batches"), events=["batch.*"])
    body = {"requests": [line("a")], "callback_url": receiver.url("/my-batch")}
    batch = tenant.ask("POST", "/batches", status=202, json=body)
    for path in ("/my-batch", "/batches"):
        (post,) = receiver.await_posts(path)
        assert post.event["type"] == "batch.completed"
        assert post.event["data"] == {"id": batch["id"], "object": "batch", "status": "completed"}
    (own,) = receiver.at("/my-batch")
    own.verified(tenant.secret())
    # when it is told, its results can be read
    shown = tenant.ask("GET", f"/batches/{batch['id']}")
    assert shown["output_file_id"]
    assert shown["results"][0]["custom_id"] == "a"


def test_a_batch_that_fails_or_is_cancelled_says_so(tenant: Tenant, receiver: Receiver) -> None:
    twice = {"requests": [line("a"), line("a")], "callback_url": receiver.url("/failed")}
    tenant.ask("POST", "/batches", status=202, json=twice)
    (post,) = receiver.await_posts("/failed")
    assert post.event["type"] == "batch.failed"
    slow = {"requests": [line("a", "sim-lat2000")], "callback_url": receiver.url("/cancelled")}
    batch = tenant.ask("POST", "/batches", status=202, json=slow)
    tenant.ask("POST", f"/batches/{batch['id']}/cancel")
    (post,) = receiver.await_posts("/cancelled")
    assert post.event["type"] == "batch.cancelled"
