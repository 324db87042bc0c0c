"""Batches that end early, run again, are asked for twice, or are forgotten."""

import sqlalchemy

from tests.e2e.batching import (
    content,
    cost_of,
    create,
    ended,
    line,
    lines_of,
    look,
    results,
)
from tests.installation import Installation, until


def test_a_cancelled_batch_keeps_what_is_done(installation: Installation) -> None:
    lines = [line("fast"), *(line(f"slow-{n}", "sim-lat2000") for n in range(4))]
    batch_id = create(installation, lines, max_concurrency=2)["id"]
    until(lambda: "fast" in results(installation, batch_id), 10, "no result comes")
    answer = installation.http.post(f"/batches/{batch_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelling")
    batch = ended(installation, batch_id)
    assert (batch["status"], batch["stop_reason"]) == ("cancelled", "cancelled")
    counts = batch["request_counts"]
    assert counts["completed"] >= 1
    assert counts["completed"] + counts["failed"] == 5
    done = lines_of(installation, batch["output_file_id"])
    assert "fast" in [each["custom_id"] for each in done]
    if batch["error_file_id"]:
        left = lines_of(installation, batch["error_file_id"])
        assert {each["error"]["code"] for each in left} == {"batch_cancelled"}
        assert {each["custom_id"] for each in [*done, *left]} == {
            each["custom_id"] for each in lines
        }
    assert installation.http.post(f"/batches/{batch_id}/cancel").json()["status"] == "cancelled"


def test_a_cap_on_the_cost_is_never_passed(installation: Installation) -> None:
    # Given ten lines of which each may cost so much, and money for about half of them
    lines = [line(f"n{n}", prompt=f"capped {n}", max_tokens=1000) for n in range(10)]
    most = create(installation, lines, status=200, dry_run=True)["cost"]["most"]
    real = cost_of(
        results(
            installation, ended(installation, create(installation, lines[:1])["id"])["id"]
        ).values()
    )
    cap = most / 10 + 4 * real
    # When they are run
    batch = ended(installation, create(installation, lines, max_cost=cap)["id"])
    # Then it stops at or under the cap, keeps what is finished, and says so
    assert (batch["status"], batch["stop_reason"]) == ("cancelled", "max_cost")
    assert 1 <= batch["request_counts"]["completed"] < 10
    assert batch["usage"]["cost"] <= cap
    assert batch["errors"]["data"][0]["code"] == "max_cost"
    done = lines_of(installation, batch["output_file_id"])
    left = lines_of(installation, batch["error_file_id"])
    assert {each["error"]["code"] for each in left} == {"batch_max_cost"}
    assert sorted(each["custom_id"] for each in [*done, *left]) == sorted(
        each["custom_id"] for each in lines
    )


def test_the_first_error_may_stop_it(installation: Installation) -> None:
    lines = [line("bad", "sim-400"), *(line(f"n{n}", "sim-lat8000") for n in range(20))]
    batch = ended(
        installation, create(installation, lines, on_error="stop", max_concurrency=3)["id"]
    )
    assert (batch["status"], batch["stop_reason"]) == ("cancelled", "on_error")
    codes = {
        each["custom_id"]: each["error"] for each in lines_of(installation, batch["error_file_id"])
    }
    assert codes.pop("bad") is None  # it has an answer: the provider's 400
    assert {error["code"] for error in codes.values()} <= {"batch_on_error"}


def test_only_the_failed_lines_are_run_again(installation: Installation) -> None:
    lines = [line("good", prompt="only once"), line("bad", "sim-400"), line("odd", "sim-nowhere")]
    first = create(installation, lines)
    answer = installation.http.post(f"/batches/{first['id']}/retry")
    assert answer.status_code in {202, 409}  # 409 while it runs
    ended(installation, first["id"])
    answer = installation.http.post(f"/batches/{first['id']}/retry", json={"model": "sim/sim-echo"})
    assert answer.status_code == 202, answer.text
    again = ended(installation, answer.json()["id"])
    assert again["retry_of"] == first["id"]
    assert sorted(results(installation, again["id"])) == ["bad", "odd"]
    assert again["request_counts"]["completed"] == 2
    assert installation.calls("only once")["matching"] == 1
    refused = installation.http.post(f"/batches/{again['id']}/retry")
    assert refused.status_code == 409
    assert "nothing to run" in refused.json()["error"]["message"]


def test_a_key_makes_one_batch_however_often_it_is_sent(installation: Installation) -> None:
    """Complaint: POST /batches failed after the batch was accepted: a billed one without an id."""
    lines = [line("a", prompt="sent under a key")]
    first = create(installation, lines, key="batch-1")
    again = create(installation, lines, key="batch-1")
    assert first["id"] == again["id"]
    refused = create(installation, [line("b")], status=422, key="batch-1")
    assert first["id"] in refused["error"]["message"]
    ended(installation, first["id"])
    assert installation.calls("sent under a key")["matching"] == 1


def test_identical_lines_are_run_once(installation: Installation) -> None:
    lines = [line(f"n{n}", prompt="the same for all") for n in range(5)]
    batch = ended(installation, create(installation, lines, dedupe=True)["id"])
    found = results(installation, batch["id"])
    assert {content(each) for each in found.values()} == {"the same for all"}
    assert (len(found), batch["request_counts"]["completed"]) == (5, 5)
    assert installation.calls("the same for all")["matching"] == 1
    assert batch["usage"]["cost"] * 5 == cost_of(found.values())


def test_a_batch_is_forgotten_once_it_has_ended(installation: Installation) -> None:
    batch_id = create(installation, [line("a", "sim-lat1000")])["id"]
    assert installation.http.delete(f"/batches/{batch_id}").status_code == 409
    batch = ended(installation, batch_id)
    gone = installation.http.delete(f"/batches/{batch_id}").json()
    assert (gone["id"], gone["deleted"]) == (batch_id, True)
    assert gone["deletion"] == {"openrouter": "deleted"}
    assert installation.http.get(f"/batches/{batch_id}").status_code == 404
    assert installation.http.get(f"/files/{batch['output_file_id']}/content").status_code == 404
    assert installation.http.get(f"/files/{batch['input_file_id']}").status_code == 404


def test_a_batch_goes_on_when_its_key_is_gone(installation: Installation) -> None:
    """Complaint: what polled a batch had no identity, so that it was never billed."""
    from broker.accounts import create_key, create_workspace, disable_key

    engine = sqlalchemy.create_engine(installation.database_url)
    with engine.begin() as connection:
        workspace_id = create_workspace(connection, "gone", unlimited=True)
        key = create_key(connection, workspace_id, "short-lived")
        other = create_key(connection, workspace_id, "other")
    headers = {"Authorization": f"Bearer {key.key}"}
    body = {"requests": [line("a", "sim-lat1000")]}
    batch_id = installation.http.post("/batches", json=body, headers=headers).json()["id"]
    with engine.begin() as connection:
        disable_key(connection, key.id)
    engine.dispose()
    headers = {"Authorization": f"Bearer {other.key}"}

    def done() -> dict | None:
        batch = installation.http.get(f"/batches/{batch_id}", headers=headers).json()
        return batch if batch["status"] == "completed" else None

    batch = until(
        done, 20, lambda: installation.http.get(f"/batches/{batch_id}", headers=headers).text
    )
    assert batch["usage"]["cost"] > 0
    assert installation.http.get(f"/batches/{batch_id}").status_code == 404  # another workspace's


def test_batches_are_listed_and_filtered(installation: Installation) -> None:
    batch_id = ended(installation, create(installation, [line("a")])["id"])["id"]
    batch = look(installation, batch_id)
    page = installation.http.get("/batches", params={"limit": 1, "status": "completed"}).json()
    assert page["data"][0]["id"] == batch_id
    none = installation.http.get(
        "/batches", params={"created_after": batch["created_at"] + 100}
    ).json()
    assert none["data"] == []
    older = installation.http.get("/batches", params={"after": batch_id, "limit": 100}).json()
    assert batch_id not in [each["id"] for each in older["data"]]
