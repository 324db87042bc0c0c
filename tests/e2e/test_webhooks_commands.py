"""`waybill listen` and `waybill webhooks` against a running installation."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.hooks import Receiver, Tenant
from tests.installation import REPOSITORY, clean_environment, free_ports, until


def environment(tenant: Tenant) -> dict[str, str]:
    key = tenant.http.headers["authorization"].removeprefix("Bearer ")
    return clean_environment() | {"WAYBILL_URL": tenant.installation.root, "WAYBILL_API_KEY": key}


def waybill(tenant: Tenant, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        env=environment(tenant),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


@contextmanager
def listening(tenant: Tenant, log: Path, *words: str) -> Iterator[str]:
    (port,) = free_ports(1)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "listen", "--port", str(port), *words],
            env=environment(tenant) | {"PYTHONUNBUFFERED": "1"},
            cwd=REPOSITORY,
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: "listening on" in log.read_text(), 20, log.read_text)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(10)


def await_text(log: Path, text: str) -> None:
    until(lambda: text in log.read_text(), 20, lambda: f"no {text!r} in\n{log.read_text()}")


def test_listen_takes_the_workspaces_secret_from_the_server(tenant: Tenant, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with listening(tenant, log) as url:
        job = tenant.ended(webhook={"url": url})
        await_text(log, f'{{"id":"{job["id"]}","object":"job","status":"completed"}}')
        tenant.endpoint(url)  # signs with a secret of its own
        tenant.ended()
        await_text(log, "NOT VERIFIED: evt_")


def test_listen_with_an_endpoints_secret(tenant: Tenant, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    made = tenant.endpoint(f"http://127.0.0.1:{port}/")
    log = tmp_path / "log"
    with listening(tenant, log, "--port", str(port), "--secret", made["secret"]):
        tenant.ask("POST", f"/webhooks/endpoints/{made['id']}/test", status=202)
        await_text(log, " endpoint.test evt_")


def test_from_an_endpoint_to_a_replay(tenant: Tenant, receiver: Receiver) -> None:
    os.environ.pop("COLUMNS", None)
    url = receiver.url("/commands")
    made = waybill(tenant, "webhooks", "create", url, "--event", "job.*")
    secret = made.stdout.strip()
    (endpoint,) = tenant.ask("GET", "/webhooks/endpoints")["data"]
    assert endpoint["id"] in made.stderr
    listed = waybill(tenant, "webhooks", "endpoints").stdout
    assert all(word in listed for word in (endpoint["id"], url, "job.*", "thin", "enabled"))
    job = tenant.ended()
    (post,) = receiver.await_posts("/commands")
    assert post.verified(secret)["data"]["id"] == job["id"]
    (delivery,) = tenant.deliveries()
    tenant.await_delivery(delivery["id"], "delivered")
    shown = waybill(tenant, "webhooks", "deliveries", "--subject", job["id"]).stdout
    words = (delivery["id"], "job.completed", job["id"], endpoint["id"], "delivered")
    assert all(word in shown for word in words)
    assert delivery["id"] in waybill(tenant, "webhooks", "redeliver", delivery["id"]).stdout
    receiver.await_posts("/commands", 2)
    tenant.await_delivery(delivery["id"], "delivered")
    assert waybill(tenant, "webhooks", "replay").stdout.startswith("0 deliveries")
    told = waybill(tenant, "webhooks", "replay", "--all", "--endpoint", endpoint["id"]).stdout
    assert told.startswith("1 deliveries")
    receiver.await_posts("/commands", 3)
