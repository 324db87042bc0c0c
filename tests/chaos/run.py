"""`make chaos`: random work on an installation of which a part breaks every few seconds.

The seed decides what callers ask for and what breaks; when things meet is up to the machine.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator

from sqlalchemy import create_engine

from broker.accounts import NewKey, create_key
from broker.billing import ledger
from tests.chaos.breaking import Breaker
from tests.chaos.callers import Caller, Notes
from tests.chaos.following import Followed
from tests.e2e.batching import ENDED, ended, results
from tests.e2e.hooks import Receiver, receiving
from tests.installation import KEY, Installation, until

CALLERS = 6
LIMIT = 0.004  # dollars, of the key that some of the callers share
NANOS = 10**9
REST_SECONDS = 420  # a delivery that failed twice is tried again after five minutes
SETTINGS = {
    "WAYBILL_ALLOWED_NETWORKS": "127.0.0.0/8",
    "WAYBILL_FIRST_BYTE_TIMEOUT_SECONDS": "8",
    "WAYBILL_IDLE_TIMEOUT_SECONDS": "8",
    "WAYBILL_HEARTBEAT_SECONDS": "3",
    "WAYBILL_LEASE_SECONDS": "15",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", default="1")
    arguments = parser.parse_args()
    with receiving() as receiver, Installation(SETTINGS, batch_workers=1) as installation:
        breaker, notes = Breaker(installation, arguments.seed), Notes()
        try:
            flaws = run(installation, receiver, breaker, notes, arguments)
        finally:
            notes.stop.set()
            breaker.end()
        if flaws:
            kept = installation.directory.parent / f"waybill-chaos-{arguments.seed}.log"
            kept.write_bytes(installation.log_path.read_bytes())
            say(f"log: {kept}")
    for flaw in flaws:
        say(f"FLAW {flaw}")
    say(f"seed {arguments.seed}: {len(flaws)} flaws")
    sys.exit(bool(flaws))


def run(
    installation: Installation,
    receiver: Receiver,
    breaker: Breaker,
    notes: Notes,
    arguments: argparse.Namespace,
) -> list[str]:
    """Let callers work while things break; return what is wrong once all has come to rest."""
    small = small_key(installation)
    keys = [small.key if n % 3 == 0 else KEY for n in range(CALLERS)]
    hook = receiver.url("/chaos")
    callers = [
        Caller(installation, notes, f"{arguments.seed}/{n}", key, hook)
        for n, key in enumerate(keys)
    ]
    began = time.monotonic()
    while time.monotonic() - began < arguments.minutes * 60:
        time.sleep(breaker.dice.uniform(1, 6))  # until the next thing breaks
        say(f"{time.monotonic() - began:5.0f} s  {breaker.break_something()}")
    notes.stop.set()
    installation.await_ready()
    for caller in callers:
        caller.thread.join(300)
    say(f"done: {dict(notes.done)}\nerrors: {dict(notes.errors)}\nbroken: {dict(breaker.done)}")
    flaws = list(notes.flaws)
    for check in (jobs_ended, batches_whole, books_balance, streams_whole, deliveries_arrived):
        with noting(flaws, check.__name__):
            flaws += check(installation, notes, receiver)
    with noting(flaws, "budget"):
        flaws += within_budget(installation, small.id)
    return flaws


def small_key(installation: Installation) -> NewKey:
    """Make a key with a limit that the run uses up."""
    workspace_id = installation.ask("SELECT workspace_id FROM api_keys")[0][0]
    engine = create_engine(installation.database_url)
    with engine.begin() as connection:
        made = create_key(connection, workspace_id, "small", limit_nanos=int(LIMIT * NANOS))
    engine.dispose()
    return made


@contextlib.contextmanager
def noting(flaws: list[str], name: str) -> Iterator[None]:
    """Turn what an assertion says into a flaw, so that the other checks are made too."""
    try:
        yield
    except AssertionError as error:
        flaws.append(f"{name}: {str(error)[:2000]}")


def jobs_ended(installation: Installation, notes: Notes, _: Receiver) -> list[str]:
    """Check that every accepted job is there and has ended."""
    installation.await_idle(REST_SECONDS)
    known = {row.id for row in installation.ask("SELECT id FROM jobs")}
    promised = notes.jobs | notes.called_back
    return [f"job {job_id} was accepted and is not there" for job_id in promised - known]


def batches_whole(installation: Installation, notes: Notes, _: Receiver) -> list[str]:
    """Check that every batch ended and has every line once; a limit may have ended it before."""
    flaws = []
    for batch_id, ids in notes.batches.items():
        batch = ended(installation, batch_id, REST_SECONDS)
        found = results(installation, batch_id).keys()
        is_whole = found <= ids if batch_id in notes.limited else found == ids
        if batch["status"] not in ENDED or not is_whole:
            flaws.append(f"batch {batch_id} is {batch['status']} with {sorted(found)}, not {ids}")
    return flaws


def books_balance(installation: Installation, *_: object) -> list[str]:
    """Check one settle or release for each job, and the ledger against sums made from the rows."""
    installation.audit()
    flaws = []
    held = installation.ask("SELECT coalesce(sum(held_nanos), 0) FROM ledger_entries")[0][0]
    if held:
        flaws.append(f"{held} nanos are still held")
    settled = "SELECT coalesce(sum(amount_nanos), 0) FROM ledger_entries WHERE job_id IS NOT NULL"
    paid = -int(installation.ask(settled)[0][0])
    cost = int(installation.ask("SELECT coalesce(sum(cost_nanos), 0) FROM generations")[0][0])
    if paid != cost:
        flaws.append(f"the ledger says {paid} nanos, the generations cost {cost}")
    engine = create_engine(installation.database_url)
    with engine.connect() as connection:
        flaws += [f"ledger: {flaw}" for flaw in ledger.verify(connection).flaws]
    engine.dispose()
    return flaws


def within_budget(installation: Installation, key_id: str) -> list[str]:
    """Check that a limit is passed only by what single calls cost above their own holds."""
    query = (
        "SELECT g.cost_nanos, j.hold_nanos FROM generations g JOIN jobs j ON j.id = g.job_id "
        "WHERE j.api_key_id = ?"
    )
    rows = installation.ask(query, key_id)
    spent = sum(row.cost_nanos for row in rows)
    above = sum(max(row.cost_nanos - row.hold_nanos, 0) for row in rows)
    say(f"the small key: {len(rows)} calls, {spent / NANOS:.6f} of {LIMIT} USD")
    return [f"{spent} nanos of {LIMIT} USD"] if spent > LIMIT * NANOS + above else []


def streams_whole(installation: Installation, notes: Notes, _: Receiver) -> list[str]:
    """Check that each reader got every event once, and the text that is stored."""
    flaws = []
    say(f"streams: {len(notes.streams)}, cut {sum(s.was_cut for s in notes.streams)}")
    for stream in notes.streams:
        flaws += [f"stream {stream.job_id}: {flaw}" for flaw in stream.flaws]
        flaws += _text_flaws(installation, stream)
    return flaws


def _text_flaws(installation: Installation, stream: Followed) -> list[str]:
    job = installation.job(stream.job_id)
    if job["status"] != stream.end:
        return [f"stream {stream.job_id} told {stream.end!r} of a job that is {job['status']}"]
    if job["status"] != "completed":
        return []
    stored = job["response"]["choices"][0]["message"]["content"]
    if stored == stream.text:
        return []
    return [f"stream {stream.job_id} told {len(stream.text)} characters of {len(stored)}"]


def deliveries_arrived(installation: Installation, notes: Notes, receiver: Receiver) -> list[str]:
    """Check that every job with a webhook was told of, and that its receiver has it."""
    waiting = "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'running')"
    until(lambda: installation.ask(waiting)[0][0] == 0, REST_SECONDS, "deliveries are left")
    rows = installation.ask("SELECT subject_id, event_id, state FROM deliveries")
    posted = {post.id for post in receiver.posts}
    arrived = {row.subject_id for row in rows if row.event_id in posted}
    say(f"deliveries: {len(rows)}, posts {len(receiver.posts)}")
    flaws = [f"job {job_id} was not delivered" for job_id in notes.called_back - arrived]
    return flaws + [f"{row.event_id} is {row.state}" for row in rows if row.state != "delivered"]


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
