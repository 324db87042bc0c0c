"""Webhooks: where they go, what signs them, and what became of each."""

from tests.api.answers.calls import CHAT
from tests.api.answers.walking import Walk


def be_told(walk: Walk) -> None:
    ask = walk.caller
    wanted = {"url": walk.receiver.url("/hooks"), "events": ["job.completed", "job.failed"]}
    place = {"endpoint_id": ask("POST /webhooks/endpoints", json=wanted)["id"]}
    about = {"description": "The shop's own"}
    ask("PATCH /webhooks/endpoints/{endpoint_id}", json=about, **place)
    ask("GET /webhooks/endpoints/{endpoint_id}", **place)
    ask("GET /webhooks/endpoints")
    ask("POST /webhooks/endpoints/{endpoint_id}/rotate", **place)
    with walk.nobody_works():
        ask("POST /webhooks/endpoints/{endpoint_id}/test", **place)
    ask("GET /webhooks/secret")
    ask("POST /webhooks/secret/rotate")
    _deliver(walk)
    ask("DELETE /webhooks/endpoints/{endpoint_id}", **place)


def _deliver(walk: Walk) -> None:
    ask = walk.caller
    walk.caller.http.post("/api/v1/chat/completions", json=CHAT)
    listed = ask.until(
        lambda found: [each["status"] for each in found["data"]] == ["delivered"],
        "GET /webhooks/deliveries",
        params={"event_type": "job.completed"},
    )
    one = {"delivery_id": listed["data"][0]["id"]}
    ask("GET /webhooks/deliveries/{delivery_id}", **one)
    with walk.nobody_works():
        ask("POST /webhooks/deliveries/{delivery_id}/redeliver", **one)
    ask("POST /webhooks/deliveries/replay", json={"only_missing": True})
