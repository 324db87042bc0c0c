"""The dashboard in a real browser: first run, playground, jobs, and a stream that survives."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import watch
from tests.installation import Installation

PASSWORD = "correct horse battery staple"
PAGES = (
    "", "/playground", "/models", "/jobs", "/batches", "/batches/new", "/evaluations",
    "/evaluations/new", "/webhooks", "/webhooks/deliveries", "/keys", "/members",
    "/provider-keys", "/presets", "/credits", "/budgets", "/providers", "/providers/sim", "/users",
    "/audit", "/settings",
)  # fmt: skip
SLOW = "sim/sim-tok60-chunk50"


@pytest.fixture(scope="module")
def waybill() -> Iterator[Installation]:
    with Installation() as waybill:
        yield waybill


@pytest.fixture(scope="module")
def state(waybill: Installation, browser: Browser) -> dict:
    """The cookies of the first user, who has come by the printed link."""
    link = re.findall(r"http://\S+/welcome\?token=\S+", waybill.log_path.read_text())[0]
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    page.get_by_label("Name").fill("Ada Lovelace")
    page.get_by_label("E-mail address").fill("ada@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    kept = context.storage_state()
    context.close()
    return kept


@pytest.fixture
def page(waybill: Installation, browser: Browser, state: dict) -> Iterator[Page]:
    """A window of the first user. Nothing may come from another host, and no script may fail."""
    context = browser.new_context(storage_state=state, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints = watch(page, waybill.root)
    yield page
    context.close()
    assert complaints == []


def ask(page: Page, model: str, prompt: str) -> None:
    page.get_by_label("Model", exact=True).fill(model)
    page.get_by_role("button", name="Add model").click()
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.get_by_role("button", name="Send").click()


def test_from_a_key_to_a_stream_and_its_job(waybill: Installation, page: Page) -> None:
    # Given a key that is shown once
    page.goto(f"{waybill.root}/w/default/keys")
    page.get_by_text("New key").click()
    page.get_by_label("Name").fill("from the browser")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_label("The new key")).to_contain_text("sk-wb-v1-")
    # When a prompt goes to a model of the playground
    page.get_by_role("link", name="Playground").click()
    ask(page, "sim/sim-echo", "Say hello")
    answer = page.locator("[data-model='sim/sim-echo'] .turn").last
    expect(answer).to_contain_text("tokens")
    # Then its job has the prompt, the answer and the attempt
    answer.get_by_role("link", name="job").click()
    expect(page.get_by_role("heading", name=re.compile("^Job "))).to_be_visible()
    expect(page.get_by_text("completed")).to_be_visible()
    expect(page.get_by_text("Say hello").first).to_be_visible()
    expect(page.get_by_role("region", name="Attempts")).to_contain_text("ok")


def test_a_stream_survives_a_reload(waybill: Installation, page: Page) -> None:
    page.goto(f"{waybill.root}/w/default/playground")
    page.get_by_role("button", name="Clear").click()
    ask(page, SLOW, "Tell a story")
    answer = page.locator(f"[data-model='{SLOW}'] .turn").last
    expect(answer).to_contain_text("The harbour")
    page.reload()
    expect(answer.locator("[data-facts]")).to_contain_text("tokens", timeout=30_000)
    job = waybill.job(answer.get_by_role("link").get_attribute("href").rpartition("/")[2])
    text = answer.locator(".body").first.inner_text()
    assert text == job["response"]["choices"][0]["message"]["content"]


def test_a_stream_survives_the_api(waybill: Installation, browser: Browser, state: dict) -> None:
    context = browser.new_context(storage_state=state)
    page = context.new_page()
    page.goto(f"{waybill.root}/w/default/playground")
    page.get_by_role("button", name="Clear").click()
    ask(page, SLOW, "Tell another story")
    answer = page.locator(f"[data-model='{SLOW}'] .turn").last
    expect(answer).to_contain_text("The harbour")
    waybill.kill("api")
    expect(answer.locator("[data-facts]")).to_contain_text("tokens", timeout=60_000)
    job = waybill.job(answer.get_by_role("link").get_attribute("href").rpartition("/")[2])
    text = answer.locator(".body").first.inner_text()
    assert text == job["response"]["choices"][0]["message"]["content"]
    waybill.audit([job["id"]])
    context.close()


def test_the_list_of_jobs_shows_a_new_one_by_itself(waybill: Installation, page: Page) -> None:
    page.goto(f"{waybill.root}/w/default/jobs")
    before = page.locator("tbody tr").count()
    waybill.await_job(waybill.submit("sim", "From a program"))
    expect(page.locator("tbody tr")).to_have_count(before + 1)


def test_an_invited_person_joins_and_sees_what_the_role_allows(waybill, browser, page) -> None:
    # Given a viewer who was invited, and has chosen a password
    home = f"{waybill.root}/w/default"
    page.goto(f"{home}/members")
    page.get_by_text("Invite a person").click()
    page.get_by_label("E-mail address").fill("grace@example.com")
    page.get_by_label("Role", exact=True).first.select_option("viewer")
    page.get_by_role("button", name="Invite").click()
    link = page.get_by_label("The link", exact=True).inner_text()
    context = browser.new_context()
    guest = context.new_page()
    complaints = watch(guest, waybill.root)
    guest.goto(link)
    guest.get_by_label("Password").fill(PASSWORD)
    guest.get_by_role("button", name="Go on").click()
    expect(guest.get_by_role("heading", name="Overview")).to_be_visible()
    # When the first user saves a preset and a budget, and pauses the provider
    page.goto(f"{home}/presets")
    page.get_by_label("Name").fill("brief")
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_role("button", name="Save preset").click()
    expect(page.get_by_text("Calls name it as @preset/brief")).to_be_visible()
    page.goto(f"{home}/budgets")
    page.get_by_label("Limit in US dollars").fill("12.5")
    page.get_by_role("button", name="Save budget").click()
    page.goto(f"{home}/providers/sim")
    page.get_by_label("Reason").fill("an outage there")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("an outage there")).to_be_visible()
    # Then the viewer sees this, and is offered no change of it
    for path, text in (
        ("/presets", "brief"), ("/budgets", "$12.50"), ("/providers/sim", "paused"),
        ("/members", "grace@example.com"), ("/credits", "Ledger"),
    ):  # fmt: skip
        guest.goto(f"{home}{path}")
        expect(guest.get_by_role("main").get_by_text(text).first).to_be_visible()
        expect(guest.get_by_role("main").get_by_role("button")).to_have_count(0)
    for name in ("Users", "Audit log", "Settings", "Provider keys"):
        expect(guest.get_by_role("link", name=name)).to_have_count(0)
    context.close()
    assert complaints == []
    # And the audit log names who did it
    page.get_by_role("button", name="Resume").click()
    page.goto(f"{home}/audit?action=providers&reach=all")
    expect(page.get_by_role("row").nth(1)).to_contain_text("ada@example.com")
    expect(page.get_by_role("row").nth(1)).to_contain_text("providers.resume")


def test_without_scripts_all_is_readable(waybill: Installation, browser: Browser, state) -> None:
    context = browser.new_context(storage_state=state, java_script_enabled=False)
    page = context.new_page()
    for path in PAGES:
        page.goto(f"{waybill.root}/w/default{path}")
        expect(page.locator("h1")).to_be_visible()
    context.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_needs_no_scrolling_sideways(waybill, browser, state, path) -> None:
    context = browser.new_context(storage_state=state, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{waybill.root}/w/default{path}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_barrier(waybill, browser, state, scheme) -> None:
    rules = find_axe()
    waybill.await_job(waybill.submit())
    job = waybill.http.get("/jobs").json()["data"][0]["id"]
    context = browser.new_context(storage_state=state, color_scheme=scheme)
    page = context.new_page()
    found = {}
    for path in (*PAGES, f"/jobs/{job}", "/models/sim/sim-echo"):
        page.goto(f"{waybill.root}/w/default{path}")
        page.evaluate(rules)
        barriers = page.evaluate("axe.run()")["violations"]
        found[path] = [each["id"] for each in barriers if each["impact"] in ("serious", "critical")]
    page.goto(f"{waybill.root}/dashboard/components")
    page.evaluate(rules)
    assert page.evaluate("axe.run()")["violations"] == []
    context.close()
    assert {path: ids for path, ids in found.items() if ids} == {}


def find_axe() -> str:
    """Return the script of axe-core, which finds barriers for people with disabilities."""
    modules = os.environ.get("WAYBILL_TEST_NODE_MODULES")
    if modules is None:
        if os.environ.get("CI") == "true":
            pytest.fail("WAYBILL_TEST_NODE_MODULES names no directory with axe-core")
        pytest.skip("needs axe-core")
    return Path(modules, "axe-core/axe.min.js").read_text()
