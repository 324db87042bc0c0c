"""Keys of workspaces: their order, refusals, and that nothing shows them."""

import subprocess
import sys

import pytest

from tests.e2e.hooks import Receiver
from tests.installation import REPOSITORY, Installation, chat, until

REFUSED = "wk-refused401-9f8e7d6c5b4a"
LIMITED = "wk-refused429-1a2b3c4d5e6f"
GOOD = "wk-good-0011223344556677"


@pytest.fixture(scope="module")
def home():
    """An installation of its own, whose callers' keys pay a fee of ten per cent."""
    with Installation(
        {"WAYBILL_BYOK_FEE_PERCENT": "10", "WAYBILL_ALLOWED_NETWORKS": "127.0.0.0/8"}
    ) as installation:
        yield installation
        installation.await_idle()
        installation.audit()


def command(installation: Installation, *words: str, given: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "credentials", *words],
        input=given, capture_output=True, text=True, cwd=REPOSITORY, env=installation.environment,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not given.strip() or given.strip() not in done.stdout + done.stderr
    return done.stdout


def add(installation: Installation, key: str, *words: str) -> str:
    return command(installation, "add", "sim", *words, given=f"{key}\n").split()[0]


def state_of(installation: Installation, credential: str):
    return installation.ask("SELECT * FROM provider_credentials WHERE id = ?", credential)[0]


def answered(installation: Installation, prompt: str):
    answer = installation.http.post("/chat/completions", json=chat("sim-echo", prompt))
    assert answer.status_code == 200, answer.text
    return answer.json(), installation.http.get(f"/jobs/{answer.headers['X-Job-Id']}").json()


def test_keys_in_turn_refusals_money_and_silence(home: Installation, receiver: Receiver):
    # Given a workspace with three keys, two of which the provider does not take
    endpoint = {"url": receiver.url("/keys"), "events": ["credential.disabled"]}
    assert home.http.post("/webhooks/endpoints", json=endpoint).status_code == 201
    ids = [add(home, REFUSED), add(home, LIMITED), add(home, GOOD, "--name=prod")]
    home.stop()  # who starts now knows them all; before, a call might have met the first alone
    home.start()
    # When it asks for something
    body, job = until(
        lambda: next(
            (
                found
                for found in [answered(home, "With whose key?")]
                if found[0]["usage"]["is_byok"]
            ),
            None,
        ),
        10,
        "the keys were not seen",
    )
    # Then its keys were tried in turn, and the last one paid: here only the fee is charged
    assert [attempt["credential_id"] for attempt in job["attempts"]] == ids
    assert [attempt["http_status"] for attempt in job["attempts"]] == [401, 429, 200]
    usage = body["usage"]
    upstream = usage["cost_details"]["upstream_inference_cost"]
    assert usage["cost"] == pytest.approx(upstream / 10, abs=1e-9)
    shown = home.http.get("/generation", params={"id": body["id"]}).json()["data"]
    assert (shown["is_byok"], shown["upstream_inference_cost"]) == (True, upstream)
    assert [each["is_byok"] for each in shown["provider_responses"]] == [True] * 3
    month = home.ask("SELECT SUM(byok_cost_nanos) AS n FROM usage_rollups WHERE period = 'month'")
    assert month[0].n > 0

    # And the refused key is disabled, with the reason; the one over its limit is not
    until(lambda: state_of(home, ids[0]).disabled, 10, "the refused key is still enabled")
    assert "401" in state_of(home, ids[0]).disabled_reason
    assert not state_of(home, ids[1]).disabled
    told = receiver.await_posts("/keys", 1)[0].event
    assert told["type"] == "credential.disabled"
    assert told["data"]["id"] == ids[0]

    # And no key is anywhere to be seen: not in answers, logs, or the database
    everything = [
        str(job), str(body), str(told), command(home, "list"), home.log_path.read_text(),
        *(str(row) for table in ("attempts", "jobs", "deliveries", "job_payloads")
          for row in home.ask(f"SELECT * FROM {table}")),
    ]  # fmt: skip
    files = home.data_dir.rglob("*.db*")
    everything += [file.read_bytes().decode("latin-1") for file in files]
    for key in (REFUSED, LIMITED, GOOD):
        assert not [text[:200] for text in everything if key in text]

    # When the last key is disabled, the installation's is used again
    command(home, "disable", ids[2])
    command(home, "disable", ids[1])
    until(lambda: not answered(home, "And now?")[0]["usage"]["is_byok"], 10, "still its own key")


def test_a_provider_that_only_a_workspace_can_call(home: Installation):
    # Given a key of a vendor that the installation has none of
    credential = command(home, "add", "groq", given=f"{GOOD}\n").split()[0]
    # Then its models are served to the workspace without a restart: the call leaves with that key
    model = "meta-llama/llama-3.1-8b-instruct"

    def planned():
        answer = home.http.post("/route", json={"model": model, "messages": [
            {"role": "user", "content": "hi"}]})  # fmt: skip
        return answer.json() if answer.status_code == 200 else None

    plan = until(planned, 10, "the vendor was not lit")
    assert {each["provider"] for each in plan["plan"]} == {"groq"}
    assert all(each["is_byok"] for each in plan["plan"])
    job_id = home.http.post(
        "/jobs",
        json={"body": {"model": model, "messages": [{"role": "user", "content": "hi"}]},
              "max_attempts": 1},
    ).json()["id"]  # fmt: skip
    # (this machine does not reach the vendor: that its queue is served and the key found is shown)
    job = until(
        lambda: next((j for j in [home.http.get(f"/jobs/{job_id}").json()] if j["attempts"]), None),
        20,
        "nobody takes from the queue of the vendor",
    )
    assert job["attempts"][0]["credential_id"] == credential
    home.http.post(f"/jobs/{job_id}/cancel")
    command(home, "disable", credential)
