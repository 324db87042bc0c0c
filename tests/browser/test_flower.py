"""Flower, as its reader sees it: the workers, the tasks and the queues of jobs that run."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from cli.commands.demo.server import DemoServer
from tests.installation import until

JOBS = 6
WORKER = re.compile(r"(^|\s)worker-1@")  # and not batch-worker-1@
PATIENCE_MS = 60_000  # Flower hears of a worker some seconds after its own start


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    demo = DemoServer(tmp_path_factory.mktemp("flower"), flower=True)
    with demo.running(workers=1):
        until(lambda: answers(f"{demo.flower_url}"), 60, demo.read_log)
        yield demo


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def flower(demo: DemoServer, page: Page) -> str:
    """The address of a Flower that has seen jobs run."""
    page.goto(f"{demo.flower_url}")
    expect(page.get_by_role("row").filter(has_text=WORKER)).to_contain_text(
        "Online", timeout=PATIENCE_MS
    )
    for number in range(JOBS):
        words = [{"role": "user", "content": f"Number {number}."}]
        asked = {"body": {"model": "acme/small", "messages": words}}
        answer = httpx.post(f"{demo.server.api}/jobs", json=asked, headers=demo.server.headers)
        assert answer.status_code == 202
    return str(demo.flower_url)


def test_the_worker_is_there_and_has_done_the_jobs(page: Page, flower: str) -> None:
    page.goto(flower)
    row = page.get_by_role("row").filter(has_text=WORKER)
    # active, processed, failed, succeeded; a bundle of jobs is one task
    expect(row).to_contain_text(
        re.compile(r"Online\s*0\s*[1-9]\d*\s*0\s*[1-9]"), timeout=PATIENCE_MS
    )


def test_tasks_carry_ids_and_no_prompts(page: Page, flower: str) -> None:
    done = page.get_by_role("row").filter(has_text="SUCCESS").filter(has_text="waybill.run_jobs")

    def listed() -> bool:
        page.goto(f"{flower}/tasks", wait_until="networkidle")
        return done.count() > 0

    until(listed, PATIENCE_MS / 1000, "no task succeeds")
    done.first.locator("a[href^='/task/']").click()
    expect(page.locator("body")).to_contain_text(re.compile(r"job_[0-9A-Z]{26}"))
    expect(page.locator("body")).not_to_contain_text("Number")


def test_the_queues_of_every_provider_are_listed(page: Page, flower: str) -> None:
    def shown() -> bool:
        page.goto(f"{flower}/workers?refresh=1")  # Flower asks its workers for their queues
        page.goto(f"{flower}/broker")
        return "sim-swift.interactive" in page.content()

    until(shown, PATIENCE_MS / 1000, "the queues are not listed")
    for queue in ("sim-swift.interactive", "sim-swift.batch", "waybill.deliveries"):
        expect(page.get_by_role("row").filter(has_text=queue)).to_be_visible(timeout=PATIENCE_MS)


def test_what_waits_in_the_database_is_counted(page: Page, demo: DemoServer) -> None:
    # Given a provider that is so slow that its jobs wait
    body = {"model": "acme/slow", "messages": [{"role": "user", "content": "Hi"}]}
    lines = [{"custom_id": str(number), "body": body} for number in range(90)]
    asked = {"requests": lines, "endpoint": "/v1/chat/completions"}
    url = f"{demo.server.api}/batches"
    assert httpx.post(url, json=asked, headers=demo.server.headers).is_success

    # Then Flower counts them
    def counted() -> bool:
        page.goto(f"{demo.flower_url}/broker")
        row = page.get_by_role("row").filter(has_text="sim-thrifty.batch")
        numbers = map(int, re.findall(r"\b\d+\b", row.inner_text())) if row.count() else ()
        return max(numbers, default=0) > 40

    until(counted, PATIENCE_MS / 1000, "no queue has the jobs")


def test_a_task_says_what_became_of_its_jobs(page: Page, flower: str) -> None:
    done = page.get_by_role("row").filter(has_text="completed; sim-")

    def listed() -> bool:
        page.goto(f"{flower}/tasks", wait_until="networkidle")
        return done.count() > 0

    until(listed, 20, lambda: page.locator("tbody").inner_text()[:1500])
