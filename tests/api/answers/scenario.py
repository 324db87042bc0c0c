"""One walk through an installation of its own, from its first workspace to its last goodbye."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from broker import accounts
from broker.storage.database import Database
from tests.api.answers import calls, catalog, health, hooks, many, money, people
from tests.api.answers.masks import masked
from tests.api.answers.walking import Answers, Caller, Walk
from tests.api.billing.stripe import SECRET, pretended_stripe
from tests.e2e.hooks import receiving
from tests.installation import Installation

SIMULATOR = "127.0.0.1:9100"
PARTS = (
    *(people.found_a_workspace, people.invite_people, people.make_keys),
    *(calls.call, catalog.look_around, calls.look_at_a_generation, calls.do_jobs),
    *(calls.call_jobs_off, calls.try_a_job_again),
    *(
        many.keep_files,
        many.run_batches,
        many.run_message_batches,
        many.compare,
        many.evaluate,
        catalog.keep_presets,
    ),
    *(hooks.be_told, money.pay, money.set_budgets, money.look_at_use, money.bring_a_key),
    *(people.connect_an_app, people.look_at_the_log, health.look_at_health),
    people.close_a_workspace,
)


def answers() -> Answers:
    """Return what an installation answers to everything, with all that is new each time made up."""
    began = time.time()
    with _walk() as walk:
        for part in PARTS:
            part(walk)
        return masked(walk.answers, began)


@contextmanager
def _walk() -> Iterator[Walk]:
    with pretended_stripe() as (stripe, _), receiving() as receiver:
        installation = Installation({
            "WAYBILL_STRIPE_API_KEY": "sk_test_x",
            "WAYBILL_STRIPE_WEBHOOK_SECRET": SECRET,
            "WAYBILL_STRIPE_API_BASE": stripe,
        })  # fmt: skip
        written = Path(__file__).with_name("waybill.toml").read_text()
        installation.config.write_text(
            written.replace(SIMULATOR, f"127.0.0.1:{installation.simulator_port}")
        )
        collected: Answers = {}
        with installation, _client(installation) as operator, _client(installation) as caller:
            operator.headers["Authorization"] = f"Bearer {operators_key(installation)}"
            asking = (Caller(operator, collected), Caller(caller, collected))
            yield Walk(installation, receiver, *asking, collected)


def _client(installation: Installation) -> httpx.Client:
    return httpx.Client(
        base_url=installation.root, timeout=30, headers={"User-Agent": "my-app/1.0"}
    )


def operators_key(installation: Installation) -> str:
    """Make a management key of the whole installation."""
    database = Database(installation.database_url)
    with database.transaction() as connection:
        made = accounts.create_key(
            connection, accounts.DEFAULT_WORKSPACE, "admin", kind="management", everywhere=True
        )
    database.close()
    return made.key
