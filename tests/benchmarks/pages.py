"""Measure the pages of the dashboard with many jobs: `python -m tests.benchmarks.pages`.

Prints the median and the 95th percentile of the time to a whole page, in milliseconds.
"""

import argparse
import statistics
import time
from urllib.parse import urlsplit

import httpx
import sqlalchemy
from rich.console import Console

from api.core.auth import SESSION_COOKIE
from broker.accounts import DEFAULT_WORKSPACE, Role, sessions, users
from tests.benchmarks import gateways
from tests.benchmarks.growth import with_jobs
from tests.stacks import Stack

PATHS = (
    "", "?span=30d&by=api_key_id", "/playground", "/models", "/jobs",
    "/jobs?status=completed", "/jobs?status=failed", "/jobs?model=none", "/jobs?provider=none",
    "/jobs?app=none", "/jobs?user=none", "/batches", "/evaluations", "/webhooks",
    "/webhooks/deliveries", "/keys", "{job}", "/members", "/provider-keys", "/presets", "/credits",
    "/budgets", "/providers", "/audit", "/settings",
)  # fmt: skip
BUDGET_MS = 200


def main() -> None:
    """Fill an installation, measure each page, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--stack", choices=("sqlite", "scale"), default="sqlite")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    with (
        gateways.upstream() as upstream_url,
        with_jobs(upstream_url, arguments.jobs, arguments.stack == "scale") as subject,
    ):
        database = subject.gateway.database
        assert database is not None
        [[job_id]] = database.ask("SELECT id FROM jobs ORDER BY created_at DESC LIMIT 1")
        root = "{0.scheme}://{0.netloc}".format(urlsplit(subject.gateway.url))
        console.print(f"{arguments.jobs:,} jobs on {arguments.stack}: p50 and p95 of a page in ms")
        with httpx.Client(base_url=root, cookies={SESSION_COOKIE: open_session(database)}) as http:
            for path in PATHS:
                shown = f"/w/default{path.format(job=f'/jobs/{job_id}')}"
                times = [measure(http, shown) for _ in range(arguments.rounds)]
                p50, p95 = statistics.median(times), statistics.quantiles(times, n=20)[18]
                mark = "" if p95 <= BUDGET_MS else f"  over {BUDGET_MS}"
                console.print(f"{p50:8.1f} {p95:8.1f}  {path or '/'}{mark}")


def measure(http: httpx.Client, path: str) -> float:
    """Return the milliseconds to a whole page."""
    began = time.perf_counter()
    answer = http.get(path)
    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
    return (time.perf_counter() - began) * 1000


def open_session(database: Stack) -> str:
    """Sign in an owner of the default workspace; return the cookie."""
    engine = sqlalchemy.create_engine(database.database_url)
    with engine.begin() as connection:
        user_id = users.create_user(connection, "pages@example.com", "Pages")
        users.add_member(connection, DEFAULT_WORKSPACE, user_id, Role.OWNER)
        token = sessions.open_session(connection, user_id)
    engine.dispose()
    return token


if __name__ == "__main__":
    main()
