"""Many requests at once: batches, their files, comparisons."""

import json

from tests.api.answers.calls import CHAT, MESSAGE
from tests.api.answers.walking import Walk
from tests.e2e.batching import ENDED, jsonl

REFUSED = CHAT | {"model": "acme/nothing"}
LINES = [
    {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}
    for name, body in (("first", CHAT), ("second", REFUSED))
]
BATCH = {"endpoint": "/v1/chat/completions"}


def keep_files(walk: Walk) -> None:
    ask = walk.caller
    form = {"data": {"purpose": "batch"}, "files": {"file": ("requests.jsonl", jsonl(LINES))}}
    file_id = ask("POST /files", **form)["id"]
    ask("GET /files/{file_id}", file_id=file_id)
    ask("GET /files", params={"purpose": "batch"})
    walk.made["input"] = file_id


def run_batches(walk: Walk) -> None:
    ask = walk.caller
    with walk.nobody_works():
        batch = ask("POST /batches", json=BATCH | {"input_file_id": walk.made["input"]})
        ask("POST /batches", json=BATCH | {"requests": LINES})
    page = {"results": "true"}
    done = ask.until(_has_ended, "GET /batches/{batch_id}", batch_id=batch["id"], params=page)
    ask.until(lambda found: _has_ended(found["data"][0]), "GET /batches", params={"limit": 1})
    ask("GET /files/{file_id}/content", file_id=done["output_file_id"])
    with walk.nobody_works():
        again = ask("POST /batches/{batch_id}/retry", batch_id=batch["id"])
        ask("POST /batches/{batch_id}/cancel", batch_id=again["id"])
    ask("DELETE /batches/{batch_id}", batch_id=batch["id"])
    ask("DELETE /files/{file_id}", file_id=walk.made["input"])


def run_message_batches(walk: Walk) -> None:
    ask = walk.caller
    wanted = {"requests": [{"custom_id": "first", "params": MESSAGE}]}
    with walk.nobody_works():
        made = ask("POST /messages/batches", json=wanted)["id"]
    ask("GET /messages/batches")
    ask.until(
        lambda found: found["processing_status"] == "ended",
        "GET /messages/batches/{batch_id}",
        batch_id=made,
    )
    ask("GET /messages/batches/{batch_id}/results", batch_id=made)
    ask("DELETE /messages/batches/{batch_id}", batch_id=made)
    with walk.nobody_works():
        other = ask.http.post("/api/v1/messages/batches", json=wanted).json()["id"]
        ask("POST /messages/batches/{batch_id}/cancel", batch_id=other)


def compare(walk: Walk) -> None:
    ask = walk.caller
    wanted = {"models": ["acme/small", "acme/base"], "prompt": "Why is the sky blue?"}
    with walk.nobody_works():
        place = ask("POST /compare", json=wanted)["id"]
    ask.until(_is_whole, "GET /compare/{comparison_id}", comparison_id=place)
    ask("GET /compare/{comparison_id}", comparison_id=place, params={"format": "csv"})


def evaluate(walk: Walk) -> None:
    ask = walk.caller
    wanted = {
        "models": ["acme/small", "acme/base"],
        "prompts": [{"id": "first", "prompt": "What is 6 times 7?", "expected": "42"}],
        "graders": [{"type": "contains"}],
    }
    with walk.nobody_works():
        place = ask("POST /evaluations", json=wanted)["id"]
    ask.until(_has_summary, "GET /evaluations/{evaluation_id}", evaluation_id=place)
    as_text = {"format": "markdown"}
    ask("GET /evaluations/{evaluation_id}", evaluation_id=place, params=as_text)
    for kind in ("json", "csv", "parquet"):
        shown = {"format": kind}
        ask("GET /evaluations/{evaluation_id}/results", evaluation_id=place, params=shown)
    ask("GET /evaluations")
    ask("DELETE /evaluations/{evaluation_id}", evaluation_id=place)
    with walk.nobody_works():
        other = ask("POST /evaluations", json=wanted)["id"]
        ask("POST /evaluations/{evaluation_id}/cancel", evaluation_id=other)


def _has_summary(evaluation: dict) -> bool:
    return evaluation["summary"] is not None


def _has_ended(batch: dict) -> bool:
    return batch["status"] in ENDED


def _is_whole(comparison: dict) -> bool:
    return '"queued"' not in (text := json.dumps(comparison)) and '"running"' not in text
