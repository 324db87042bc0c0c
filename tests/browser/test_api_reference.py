"""The API reference page: it works without the internet, and says how to call."""

from playwright.sync_api import Page, expect

from tests.installation import Installation


def test_the_reference_loads_nothing_from_elsewhere(page: Page, installation: Installation) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{installation.root}/docs")
    chat = page.get_by_text("/api/v1/chat/completions", exact=True)
    expect(chat).to_be_visible(timeout=20_000)
    chat.click()
    expect(page.get_by_text("Say hello in one sentence.").first).to_be_visible()
    assert [url for url in asked if not url.startswith((installation.root, "data:"))] == []
