"""Providers' own half-price batches, end to end, on OpenAI's and Anthropic's wires."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.batching import cost_of, create, ended, results
from tests.installation import Installation, until

MODELS = (
    *("sim-echo", "sim-echo-batchfail50", "sim-echo-batchexpire", "sim-echo-batchdrop"),
    *("sim-echo-batchlose", "sim-echo-batchmute", "sim-echo-batchnofile"),
    *("sim-echo-batchlat60000", "sim-echo-batchquota", "sim-echo-batchlat4000"),
)
SETTINGS = {
    "WAYBILL_NATIVE_BATCH_WAIT_SECONDS": "0.3",
    "WAYBILL_NATIVE_BATCH_POLL_SECONDS": "0.2",
    "WAYBILL_NATIVE_BATCH_DOUBT_SECONDS": "4",
    "WAYBILL_LEASE_SECONDS": "4",
    "WAYBILL_HEARTBEAT_SECONDS": "1",
}
APIS = ("openai", "anthropic")


@pytest.fixture(scope="module")
def batching() -> Iterator[Installation]:
    with batching_installation() as installation:
        yield installation
        installation.await_idle()
        installation.audit()


def batching_installation(more: dict[str, str] | None = None) -> Installation:
    installation = Installation(SETTINGS | (more or {}))
    installation.config.write_text(
        "\n".join([installation.config.read_text(), *tables(installation.simulator_port)])
    )
    return installation


def tables(port: int) -> list[str]:
    made = []
    for api in APIS:
        made.append(
            f'[[providers]]\nslug = "half-{api}"\nwire = "{api}"\nbatches = "{api}"\n'
            f'base_url = "http://127.0.0.1:{port}/v1"\napi_key = "any"\n'
            + ('quirks = ["background"]\noptions = { background = true }\n' * (api == "openai"))
        )
        for native in MODELS:
            endpoint = f'provider = "half-{api}", model = "{native}", prompt = "10", '
            made.append(
                f'[[models]]\nslug = "half-{api}/{native}"\n'
                f'endpoints = [{{ {endpoint} completion = "20" }}]\n'
            )
    endpoint = 'provider = "half-openai", model = "sim-echo-batchlat0", interface = "responses", '
    made.append(
        '[[models]]\nslug = "half-openai/responses"\n'
        f'endpoints = [{{ {endpoint} prompt = "10", completion = "20" }}]\n'
    )
    return made


def submit(installation: Installation, api: str, native: str, prompt: str, **more) -> str:
    body = {
        "model": f"half-{api}/{native}",
        "messages": [{"role": "user", "content": prompt}],
        "service_tier": "batch",
        "max_tokens": 50,
    }
    answer = installation.http.post("/jobs", json={"body": body | more.pop("body", {}), **more})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def upstream(installation: Installation) -> list[dict]:
    """The batches that the simulated provider has accepted."""
    url = f"http://127.0.0.1:{installation.simulator_port}/_batches"
    return list(httpx.get(url).json()["batches"])


def cost_in_full(usage: dict) -> float:
    return (usage["prompt_tokens"] * 10 + usage["completion_tokens"] * 20) / 1e6


@pytest.mark.parametrize("api", APIS)
def test_jobs_of_the_batch_tier_share_one_batch_at_half_the_price(batching, api):
    # Given what the provider had before
    before = len(upstream(batching))
    # When twenty jobs ask for the batch tier
    prompts = [f"{api} half {number}" for number in range(20)]
    jobs = [submit(batching, api, "sim-echo", prompt) for prompt in prompts]
    ended = [batching.await_job(job) for job in jobs]
    # Then each has its own answer, at half the price, out of a few batches
    for prompt, job in zip(prompts, ended, strict=True):
        answer = job["response"]
        assert answer["choices"][0]["message"]["content"] == prompt
        assert answer["service_tier"] == "batch"
        assert answer["usage"]["cost"] == pytest.approx(cost_in_full(answer["usage"]) / 2)
        assert job["attempts"][0]["worker"].startswith("nb_")
        assert batching.calls(f'"{prompt}"')["matching"] <= 1
    assert 1 <= len(upstream(batching)) - before < len(jobs) / 2
    batching.audit(jobs)


def test_models_behind_the_responses_api_are_batched(batching):
    before = len(upstream(batching))
    job = batching.await_job(submit(batching, "openai", "responses", "by responses"))
    assert [each["outcome"] for each in job["attempts"]] == ["ok"]
    assert job["attempts"][0]["worker"].startswith("nb_")
    usage = job["response"]["usage"]
    assert job["response"]["choices"][0]["message"]["content"] == "by responses"
    assert usage["cost"] == pytest.approx(cost_in_full(usage) / 2)
    assert len(upstream(batching)) == before + 1


@pytest.mark.parametrize("api", APIS)
def test_lines_that_the_batch_fails_are_done_in_their_ordinary_lane(batching, api):
    jobs = [submit(batching, api, "sim-echo-batchfail50", f"{api} f {n}") for n in range(6)]
    ended = [batching.await_job(job) for job in jobs]
    assert {job["status"] for job in ended} == {"completed"}
    tries = sorted(len(job["attempts"]) for job in ended)
    assert tries == [1, 1, 1, 2, 2, 2]
    for job in ended:
        usage = job["response"]["usage"]
        share = 2 if len(job["attempts"]) == 1 else 1
        assert usage["cost"] == pytest.approx(cost_in_full(usage) / share)
        assert (job["response"].get("service_tier") == "batch") == (share == 2)
    batching.audit(jobs)


@pytest.mark.parametrize("api", APIS)
def test_what_an_expired_batch_left_undone_is_done_in_its_ordinary_lane(batching, api):
    jobs = [submit(batching, api, "sim-echo-batchexpire", f"{api} e {n}") for n in range(4)]
    ended = [batching.await_job(job) for job in jobs]
    assert [job["status"] for job in ended] == ["completed"] * 4
    outcomes = sorted([attempt["outcome"] for attempt in job["attempts"]] for job in ended)
    assert outcomes == [["not_sent", "ok"]] * 2 + [["ok"]] * 2


@pytest.mark.parametrize("api", APIS)
def test_a_batch_accepted_without_a_word_is_found_again_not_sent_again(batching, api):
    # Given a provider that accepts a batch and drops the connection
    before = len(upstream(batching))
    jobs = [submit(batching, api, "sim-echo-batchdrop", f"{api} d {n}") for n in range(3)]
    # Then it is adopted: one batch upstream, every job answered by it, at half the price
    ended = [batching.await_job(job) for job in jobs]
    assert len(upstream(batching)) - before == 1
    for job in ended:
        assert [attempt["outcome"] for attempt in job["attempts"]] == ["ok"]
        usage = job["response"]["usage"]
        assert usage["cost"] == pytest.approx(cost_in_full(usage) / 2)
    batching.audit(jobs)


@pytest.mark.parametrize("api", APIS)
def test_what_stays_unheard_of_goes_where_its_jobs_policy_says(batching, api):
    # Given a creation that the provider never got, which nobody here can know
    before = len(upstream(batching))
    held = submit(batching, api, "sim-echo-batchlose", f"{api} hold", on_unknown="hold")
    again = submit(batching, api, "sim-echo-batchlose", f"{api} again", on_unknown="retry")
    # Then it is not made a second time: one job waits for its owner, the other goes on by itself
    assert batching.await_job(held)["status"] == "needs_review"
    done = batching.await_job(again)
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["unknown", "ok"]
    assert done["lane"] == "batch"
    assert len(upstream(batching)) == before
    # and the owner's word is obeyed in the ordinary lane
    assert batching.http.post(f"/jobs/{held}/retry").status_code == 202
    assert batching.await_job(held, {"completed"})["lane"] == "batch"


def test_killed_before_the_acceptance_is_on_record_a_batch_is_found_not_paid_twice(batching):
    # Given providers that have accepted batches, and a worker that has not heard of it yet
    before = len(upstream(batching))
    jobs = [
        submit(batching, api, "sim-echo-batchmute", f"{api} m {n}") for api in APIS for n in (1, 2)
    ]
    until(lambda: lines_upstream(batching, before) == len(jobs), 20, batching.log)
    assert native_states(batching, jobs) == {("creating", None)}
    # When that worker is killed
    batching.kill("worker")
    # Then its successor finds the batches, and every job is answered by one, at half the price
    assert_answered_by_their_batches(batching, jobs, before)


def test_a_batch_outlives_the_worker_that_made_it(batching):
    # Given jobs in a batch that the provider works on
    before = len(upstream(batching))
    jobs = [submit(batching, "openai", "sim-echo-batchlat4000", f"k {n}") for n in range(3)]
    until(
        lambda: {state for state, _ in native_states(batching, jobs)} == {"running"},
        20,
        batching.log,
    )
    # When the only worker is killed
    batching.kill("worker")
    # Then its successor books the results of that batch
    assert_answered_by_their_batches(batching, jobs, before)


def native_states(installation: Installation, jobs: list[str]) -> set[tuple[str, str | None]]:
    """Return the state and provider of the native batches that hold these jobs."""
    marks = ", ".join("?" for _ in jobs)
    rows = installation.ask(
        "SELECT state, upstream_id FROM native_batches WHERE id IN "
        f"(SELECT native_batch_id FROM native_lines WHERE job_id IN ({marks}))",
        *jobs,
    )
    return {(row[0], row[1]) for row in rows}


def lines_upstream(installation: Installation, before: int) -> int:
    """Return the number of lines in the provider's batches after the first ones."""
    return sum(each["lines"] for each in upstream(installation)[before:])


def assert_answered_by_their_batches(
    installation: Installation, jobs: list[str], before: int
) -> None:
    ended = [installation.await_job(job, seconds=60) for job in jobs]
    assert lines_upstream(installation, before) == len(jobs)
    for job in ended:
        assert [attempt["outcome"] for attempt in job["attempts"]] == ["ok"]
        usage = job["response"]["usage"]
        assert usage["cost"] == pytest.approx(cost_in_full(usage) / 2)
    installation.audit(jobs)


def test_a_batch_refused_for_want_of_quota_is_held_back_and_sent_again(batching):
    job = submit(batching, "openai", "sim-echo-batchquota", "patience")
    ended = batching.await_job(job)
    assert ended["status"] == "completed"
    assert ended["response"]["service_tier"] == "batch"


def test_a_batch_whose_results_never_come_is_given_up_before_the_deadline() -> None:
    installation = batching_installation({"WAYBILL_NATIVE_BATCH_MIN_DEADLINE_SECONDS": "1"})
    with installation:
        # Given a provider that completes a batch and never names its file of results
        deadline = time.time() + 40
        native = "sim-echo-batchnofile"
        held = submit(installation, "openai", native, "hold", on_unknown="hold", deadline=deadline)
        again = submit(
            installation, "openai", native, "again", on_unknown="retry", deadline=deadline
        )
        # Then its jobs go where their policy says, with time left to be done
        assert installation.await_job(held, seconds=60)["status"] == "needs_review"
        done = installation.await_job(again, seconds=60)
        assert [attempt["outcome"] for attempt in done["attempts"]] == ["unknown", "ok"]
        assert done["ended_at"] < deadline
        installation.audit([again])


@pytest.mark.parametrize("api", APIS)
def test_cancelled_jobs_end_at_once_and_an_empty_batch_is_called_off(batching, api):
    before = {each["id"] for each in upstream(batching)}
    jobs = [submit(batching, api, "sim-echo-batchlat60000", f"{api} c {n}") for n in range(2)]
    for job in jobs:
        batching.await_job(job, {"running"})
        assert batching.http.post(f"/jobs/{job}/cancel").status_code in {200, 202}
    for job in jobs:
        assert batching.await_job(job)["status"] == "cancelled"
    until(
        lambda: all(each["cancelled"] for each in upstream(batching) if each["id"] not in before),
        20,
        lambda: f"{upstream(batching)}\n{batching.log()}",
    )
    batching.audit(jobs)


def test_a_cap_holds_for_lines_in_a_providers_batch(batching):
    # Given a batch of which the cap covers some lines at a time, at half the price more than it
    # covers in full
    lines = [line(f"n{n}", f"capped {n}") for n in range(12)]
    told = create(batching, lines, status=200, service_tier="batch", dry_run=True)
    cap = told["cost"]["most"] / 2
    batch = create(batching, lines, service_tier="batch", max_cost=cap)
    ended_ = ended(batching, batch["id"], seconds=60)
    # Then what was run came out of batches, and cost less than the cap and as much as its lines
    found = results(batching, batch["id"])
    answered = [each for each in found.values() if each["response"]]
    assert ended_["usage"]["cost"] == pytest.approx(cost_of(found.values()))
    assert 0 < ended_["usage"]["cost"] <= cap
    assert len(answered) == ended_["request_counts"]["completed"] > len(lines) // 4
    assert {each["response"]["body"]["service_tier"] for each in answered} == {"batch"}
    if len(answered) < len(lines):
        assert (ended_["status"], ended_["stop_reason"]) == ("cancelled", "max_cost")


def line(custom_id: str, prompt: str, model: str = "half-openai/sim-echo") -> dict:
    messages = [{"role": "user", "content": prompt}]
    return {"custom_id": custom_id, "body": {"model": model, "messages": messages}}


def test_a_stream_is_refused_the_batch_tier(batching):
    body = {"model": "half-openai/sim-echo", "service_tier": "batch", "stream": True}
    body |= {"messages": [{"role": "user", "content": "x"}]}
    answer = batching.http.post("/chat/completions", json=body)
    assert answer.status_code == 400
    assert "stream" in answer.json()["error"]["message"]


def test_without_a_batch_api_the_job_takes_its_ordinary_lane(batching):
    job = batching.submit("sim-echo", "no api", body={"service_tier": "batch"})
    ended = batching.await_job(job)
    assert (ended["status"], ended["lane"]) == ("completed", "interactive")
    assert batching.calls('"service_tier"')["matching"] == 0


def test_the_cheapest_with_time_enough_goes_into_a_batch(batching):
    far = __import__("time").time() + 8 * 3600
    cheap = {"provider": {"prefer": "cheapest"}, "service_tier": None}
    patient = submit(batching, "openai", "sim-echo", "patient", deadline=far, body=cheap)
    hasty = submit(batching, "openai", "sim-echo", "hasty", body=cheap)
    assert batching.await_job(patient)["response"]["service_tier"] == "batch"
    assert "service_tier" not in batching.await_job(hasty)["response"]


def test_an_evaluation_at_the_price_of_batches_costs_half(batching):
    model = "half-openai/sim-echo"
    asked = {
        "models": [model],
        "prompts": [{"prompt": f"half {number}"} for number in range(3)],
        "body": {"max_tokens": 50},
        "graders": [{"type": "judge", "model": "sim/sim-judge", "rubric": "x"}],
    }
    costs = []
    for tier in ({}, {"service_tier": "batch"}):
        made = batching.http.post("/evaluations", json=asked | tier)
        assert made.status_code == 202, made.text
        path = f"/evaluations/{made.json()['id']}"
        found = until(lambda path=path: _if_ended(batching.http.get(path).json()), 60, batching.log)
        assert (found["status"], found["judging"]["completed"]) == ("completed", 3)
        costs.append(found["summary"]["columns"][0]["cost"])
    assert costs[1] == pytest.approx(costs[0] / 2)


def _if_ended(evaluation: dict) -> dict | None:
    return evaluation if evaluation["ended_at"] is not None else None
