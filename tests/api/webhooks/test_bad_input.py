"""Mistakes about webhooks are refused with a 4xx that names the field, and leave nothing behind."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.installation import Installation, chat

FAR = "https://example.com/hooks"
URLS = (
    "",
    "example.com/hooks",
    "ftp://example.com/",
    "https://",
    "https://user:pass@example.com/",
    "https://example.com/#top",
    "https://example.com/a b",
    "https://example.com:99999/",
    "https://example.com:0/",
    "https://[::1/",
    "https://169.254.169.254/latest",
    "https://10.0.0.1/",
    "https://[::ffff:10.0.0.1]/",
    "https://[fd00::1]/",
    "https://[64:ff9b::a00:1]/",
    "https://2852039166/",
    "https://0/",
    "https://printer.local/",
    "https://0xa.1/",
    "https://a..b/",
    "https://xn--/",
    f"https://{'a' * 300}.example/",
    "https://example.com/" + "x" * 2_100,
)


@pytest.fixture(autouse=True)
def nothing_is_stored(installation: Installation) -> Iterator[None]:
    before = _stored(installation)
    yield
    assert _stored(installation) == before, "a refused request left something behind"


def _stored(installation: Installation) -> list[int]:
    tables = ("jobs", "webhook_endpoints", "webhook_secrets", "deliveries")
    return [installation.ask(f"SELECT count(*) FROM {table}")[0][0] for table in tables]


def check(answer: httpx.Response, param: str | None, status: int = 400) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().get("param") == param, answer.text
    assert len(answer.text) < 1500


@pytest.mark.parametrize("url", URLS, ids=lambda url: url[:40])
@pytest.mark.parametrize("param", ["url", "webhook.url", "callback_url"])
def test_a_wrong_url_is_named(installation: Installation, url: str, param: str) -> None:
    if param == "url":
        check(installation.http.post("/webhooks/endpoints", json={"url": url}), param)
        return
    wish = {"callback_url": url} if param == "callback_url" else {"webhook": {"url": url}}
    check(installation.http.post("/jobs", json={"body": chat(), **wish}), param)
    check(installation.http.post("/jobs", json=chat() | wish), param)  # beside a plain chat body


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"webhook": "https://example.com"}, "webhook"),
        ({"webhook": {}}, "webhook.url"),
        ({"webhook": {"url": FAR, "event": []}}, "webhook.event"),
        ({"webhook": {"url": FAR, "events": "job.failed"}}, "webhook.events"),
        ({"webhook": {"url": FAR, "events": ["job.done"]}}, "webhook.events"),
        ({"webhook": {"url": FAR}, "callback_url": FAR}, "callback_url"),
        ({"callback_url": 5}, "callback_url"),
    ],
    ids=str,
)
def test_a_wrong_webhook_of_a_job(
    installation: Installation, change: dict[str, Any], param: str
) -> None:
    check(installation.http.post("/jobs", json={"body": chat(), **change}), param)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"url": None}, "url"),
        ({"url": 5}, "url"),
        ({"events": "job.failed"}, "events"),
        ({"events": ["job.done"]}, "events"),
        ({"events": ["job"]}, "events"),
        ({"events": ["*"]}, "events"),
        ({"events": [5]}, "events.0"),
        ({"description": "x" * 501}, "description"),
        ({"description": "a\0b"}, "description"),
        ({"payload": "fat"}, "payload"),
        ({"scheme": "stripe"}, "scheme"),
        ({"signature": "v2"}, "signature"),
        ({"scheme": "openrouter", "signature": "v1a"}, "signature"),
        ({"headers": ["X-A"]}, "headers"),
        ({"headers": {"X-A": 5}}, "headers.X-A"),
        ({"headers": {"Webhook-Id": "x"}}, "headers"),
        ({"headers": {"Host": "x"}}, "headers"),
        ({"headers": {"X A": "x"}}, "headers"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "headers"),
        ({"headers": {f"X-{n}": "" for n in range(21)}}, "headers"),
        ({"rate_limit": 0}, "rate_limit"),
        ({"rate_limit": "10"}, "rate_limit"),
        ({"rate_limit": 1.5}, "rate_limit"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_wrong_endpoint(installation: Installation, change: dict[str, Any], param: str) -> None:
    check(installation.http.post("/webhooks/endpoints", json={"url": FAR} | change), param)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("status=lost", "status"),
        ("event_type=job.done", "event_type"),
        ("since=yesterday", "since"),
        ("until=-1", "until"),
        ("since=nan", "since"),
        ("until=inf", "until"),
    ],
)
def test_a_wrong_question_about_deliveries(
    installation: Installation, query: str, param: str
) -> None:
    check(installation.http.get(f"/webhooks/deliveries?{query}"), param)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/webhooks/secret/rotate", {"overlap_seconds": -1}, "overlap_seconds"),
        ("/webhooks/secret/rotate", {"overlap_seconds": 10**9}, "overlap_seconds"),
        ("/webhooks/secret/rotate", {"overlap": 5}, "overlap"),
        ("/webhooks/secret/rotate", [], "body"),
        ("/webhooks/deliveries/replay", {"since": "x"}, "since"),
        ("/webhooks/deliveries/replay", {"until": 1e12}, "until"),
        ("/webhooks/deliveries/replay", {"since": 2e10}, "since"),
        ("/webhooks/deliveries/replay", {"only_missing": "no"}, "only_missing"),
        ("/webhooks/deliveries/replay", {"endpoint": "whep_x"}, "endpoint"),
    ],
    ids=str,
)
def test_a_wrong_wish(installation: Installation, path: str, body: Any, param: str) -> None:
    check(installation.http.post(path, json=body), param)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/webhooks/endpoints/whep_none"),
        ("PATCH", "/webhooks/endpoints/whep_none"),
        ("DELETE", "/webhooks/endpoints/whep_none"),
        ("POST", "/webhooks/endpoints/whep_none/rotate"),
        ("POST", "/webhooks/endpoints/whep_none/test"),
        ("GET", "/webhooks/deliveries/dlv_none"),
        ("POST", "/webhooks/deliveries/dlv_none/redeliver"),
        ("POST", "/webhooks/deliveries/replay"),
        ("GET", "/webhooks/nothing"),
    ],
)
def test_what_is_not_there(installation: Installation, method: str, path: str) -> None:
    replays = path.endswith("/replay")
    body = {"endpoint_id": "whep_none"} if replays else {"disabled": False}
    json = body if replays or method == "PATCH" else None
    check(installation.http.request(method, path, json=json), None, 404)


@pytest.mark.parametrize("path", ["/endpoints", "/secret", "/deliveries", "/deliveries/dlv_x"])
def test_no_key(installation: Installation, path: str) -> None:
    with httpx.Client(base_url=installation.url) as client:
        check(client.get(f"/webhooks{path}"), "Authorization", 401)
