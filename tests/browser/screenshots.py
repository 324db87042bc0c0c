"""Take screenshots of every page, light, dark and on a phone: `make screenshots`.

Those that README and docs use are written to docs/images; the others to a directory of your choice.
"""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import sqlalchemy
from playwright.sync_api import Browser, Page, sync_playwright

from api.core.auth import SESSION_COOKIE
from broker.accounts import DEFAULT_WORKSPACE, Role, sessions, users
from tests.browser.conftest import CHROMIUM, QUIET
from tests.installation import REPOSITORY, Installation, until

IMAGES = REPOSITORY / "docs/images"
DEMO = (REPOSITORY / "examples/waybill.toml").read_text()
MODES = {
    "light": {"viewport": {"width": 1280, "height": 860}},
    "dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2},
}
PAGES = {
    "overview": "", "playground": "/playground", "models": "/models",
    "model": "/models/acme/large", "jobs": "/jobs", "job": "{job}", "batches": "/batches",
    "batch": "{batch}", "batch-new": "/batches/new", "evaluations": "/evaluations",
    "evaluation": "{evaluation}", "webhooks": "/webhooks", "deliveries": "/webhooks/deliveries",
    "keys": "/keys", "members": "/members", "provider-keys": "/provider-keys",
    "presets": "/presets", "budgets": "/budgets", "users": "/users", "audit": "/audit",
    "settings": "/settings",
}  # fmt: skip
IN_DOCS = {("overview", "light"), ("overview", "dark"), ("playground", "light"), ("job", "light"),
           ("evaluation", "light"), ("jobs", "phone")}  # fmt: skip
STORY = {"model": "acme/large", "messages": [{"role": "user", "content": "What is a waybill?"}]}


def main() -> None:
    """Start an installation with some traffic, and take the screenshots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path("screenshots"))
    directory = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    waybill = Installation()
    waybill.config.write_text(DEMO.replace(":9100", f":{waybill.simulator_port}"))
    with waybill, chromium() as browser:
        paths = make_traffic(waybill)
        token = open_session(waybill)
        for mode, options in MODES.items():
            context = browser.new_context(**options)
            context.add_cookies([{"name": SESSION_COOKIE, "value": token, "url": waybill.root}])
            page = context.new_page()
            for name, path in PAGES.items():
                page.goto(f"{waybill.root}/w/default{path.format(**paths)}")
                if name == "playground":
                    ask(page)
                taken = directory / f"{name}-{mode}.png"
                page.screenshot(path=taken, full_page=mode != "phone")
                if (name, mode) in IN_DOCS:
                    shutil.copy(taken, IMAGES / f"dashboard-{name}-{mode}.png")
            context.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


def ask(page: Page) -> None:
    for model in ("acme/small", "acme/large"):
        page.get_by_label("Model", exact=True).fill(model)
        page.get_by_role("button", name="Add model").click()
    page.get_by_label("Prompt", exact=True).fill("What is a waybill?")
    page.get_by_role("button", name="Send").click()
    page.locator("[data-model='acme/large'] [data-facts]").filter(has_text="tokens").wait_for()


def make_traffic(waybill: Installation) -> dict[str, str]:
    """Send calls, a batch and an evaluation; return the paths of one of each."""
    http = waybill.http
    http.post("/webhooks/endpoints", json={"url": "https://example.com/hook"})
    for number in range(12):
        model = ("acme/small", "acme/large")[number % 3 == 0]
        chat = {**STORY, "model": model, "user": f"customer-{number % 4}"}
        http.post("/chat/completions", json=chat, headers={"X-Title": "Support desk"})
    job = http.post("/chat/completions", json={**STORY, "model": "acme/flaky"})
    lines = [{"custom_id": f"line-{n}", "body": {**STORY, "model": "acme/small"}} for n in range(8)]
    batch = http.post(
        "/batches", json={"requests": lines, "endpoint": "/v1/chat/completions"}
    ).json()
    prompts = [{"prompt": "Say hello"}, {"prompt": "What is a waybill?"}]
    graders = [{"type": "regex", "pattern": "simulated"}]
    evaluation = http.post(
        "/evaluations",
        json={"models": ["acme/small", "acme/large"], "prompts": prompts, "graders": graders,
              "name": "Answers that admit to be simulated"},
    ).json()  # fmt: skip
    waybill.await_idle()
    until_ended(http, f"/evaluations/{evaluation['id']}")
    return {
        "job": f"/jobs/{job.headers['x-job-id']}",
        "batch": f"/batches/{batch['id']}",
        "evaluation": f"/evaluations/{evaluation['id']}",
    }


def until_ended(http: httpx.Client, path: str) -> None:
    until(lambda: http.get(path).json()["ended_at"], 60, "it does not end")


def open_session(waybill: Installation) -> str:
    """Sign in an operator; return the cookie."""
    engine = sqlalchemy.create_engine(waybill.database_url)
    with engine.begin() as connection:
        user_id = users.create_user(connection, "ada@example.com", "Ada Lovelace")
        users.add_member(connection, DEFAULT_WORKSPACE, user_id, Role.OWNER)
        users.change_user(connection, user_id, {"is_operator": True})
        return sessions.open_session(connection, user_id)


if __name__ == "__main__":
    main()
