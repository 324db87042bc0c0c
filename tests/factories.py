"""Makes what tests are about: jobs, claims, endings. Time is a number, never the clock."""

from unittest import mock

from sqlalchemy import delete, func, select
from sqlmodel import SQLModel

from broker import accounts, lifecycle, submission
from broker.accounts import Principal
from broker.billing import ledger
from broker.completion import AttemptOutcome, ErrorType, Failure, Timings
from broker.ids import generation_id
from broker.lifecycle import Cancellation, Claim, Failed, Finished
from broker.pricing import Price
from broker.providers.endpoints import Endpoint
from broker.settings import Settings
from broker.storage.tables import Attempt, Generation, Job, LedgerEntry
from broker.submission import JobOptions
from broker.usage import GenerationRow

NOW = 1_800_000_000_000
LEASE = 60_000
HOLD = 1_000
SETTINGS = Settings.model_construct()
SMALL = ("alpha", "acme/small")


def make_endpoint(provider="alpha", model="acme/small", **price):
    return Endpoint(provider=provider, model=model, native=f"native-{model}", price=Price(**price))


def make_principal(database, *, credit=None, name="acme"):
    """A caller; `credit` in nano-dollars, or None for one who is never refused."""
    with database.transaction() as connection:
        workspace_id = accounts.create_workspace(connection, name, unlimited=credit is None)
        key = accounts.create_key(connection, workspace_id, "key")
        if credit:
            ledger.append(
                connection, [ledger.grant(workspace_id=workspace_id, nanos=credit, now=NOW)]
            )
    return Principal(workspace_id, key.id, unlimited=credit is None)


def make_new_job(principal, *, now=NOW, hold=HOLD, places=(SMALL,), more=0, body=None, **wish):
    """A prepared job that holds `hold` and whose plan is `places`: (provider, model) pairs.

    Each later place costs `more` than the one before.
    """
    models = list(dict.fromkeys(model for _, model in places))
    # sorted by price, so that the plan keeps the order of `places`
    endpoints = {
        model: [
            make_endpoint(provider, model, request=hold + more * place)
            for place, (provider, served) in enumerate(places)
            if served == model
        ]
        for model in models
    }
    messages = [{"role": "user", "content": "hi"}]
    asked = {"messages": messages, "models": models, "provider": {"sort": "price"}} | (body or {})
    with mock.patch("broker.submission.preparation.now_ms", return_value=now):
        return submission.prepare(asked, JobOptions(**wish), principal, endpoints, SETTINGS)


def empty(database):
    """Delete every row of every table."""
    with database.transaction() as connection:
        for table in reversed(SQLModel.metadata.sorted_tables):
            connection.execute(delete(table))


def run(database, function, *items):
    """Run a grouped storage function over `items` in one transaction; return its results."""
    with database.transaction() as connection:
        return list(function(connection, items))


def write(database, function, *arguments):
    """Run a storage function in a transaction; return its result."""
    with database.transaction() as connection:
        return function(connection, *arguments)


def submit(database, principal, **options):
    """Submit one job and return its id."""
    [submitted] = run(database, submission.submit_many, make_new_job(principal, **options))
    return submitted.job_id


def claim_one(database, job_id, *, owner="worker-1", now=NOW, lease_ms=LEASE):
    [claimed] = run(database, lifecycle.claim_many, Claim(job_id, owner, now, lease_ms))
    return claimed


def submit_and_claim(database, principal, *, owner="worker-1", now=NOW, **options):
    job_id = submit(database, principal, now=now, **options)
    return claim_one(database, job_id, owner=owner, now=now)


def finished(job, *, now=NOW, cost=300, **more):
    """An ending with an answer that costs `cost` nano-dollars."""
    generation = GenerationRow(
        id=generation_id(job.id),
        job_id=job.id,
        workspace_id=job.workspace_id,
        attempt=job.attempt,
        provider=job.endpoint.provider,
        model=job.endpoint.model,
        upstream_id="up-1",
        streamed=job.stream,
        cost_nanos=cost,
        duration_ms=5,
        created_at=now,
        usage_estimated=False,
    )
    return Finished(job, now, generation, b'{"answer":1}', Timings(2, 5), **more)


def failure(
    outcome=AttemptOutcome.REJECTED, error_type=ErrorType.RATE_LIMIT_EXCEEDED, retry_after=None
):
    return Failure(outcome, error_type, "no luck", http_status=429, retry_after=retry_after)


def failed(job, *, now=NOW, why=None, decision=None, **more):
    """An ending without an answer; what follows is decided as a worker would, unless given."""
    why = why or failure()
    decision = decision or lifecycle.decide(job, why, now)
    return Failed(job, now, why, decision, Timings(None, 5), **more)


def record(database, *endings):
    """Say of each ending whether it was written."""
    return [written is not None for written in run(database, lifecycle.record_many, *endings)]


def cancel(database, job_id, workspace_id, *, now=NOW):
    [result] = run(database, lifecycle.cancel_many, Cancellation(job_id, workspace_id, now))
    return result


def rescue(database, *, now, owner=None):
    return write(database, lifecycle.rescue, now, owner)


def job_row(database, job_id):
    return database.read_now(
        lambda connection: connection.execute(select(Job.__table__).filter_by(id=job_id)).one()
    )


def attempts(database, job_id):
    """The attempts of a job as (number, outcome), in order."""
    table = Attempt.__table__
    query = select(table.c.number, table.c.outcome).filter_by(job_id=job_id).order_by("number")
    return database.read_now(lambda connection: connection.execute(query).all())


def entries(database, job_id):
    """Return the ledger entries of a job: kind and amount, sorted."""
    table = LedgerEntry.__table__
    query = select(table.c.kind, table.c.amount_nanos).filter_by(job_id=job_id)
    return dict(sorted(database.read_now(lambda c: c.execute(query).all())))


def balance(database, workspace_id):
    return database.read_now(ledger.balance, workspace_id)


def count(database, table=Job):
    query = select(func.count()).select_from(table.__table__)
    return database.read_now(lambda connection: connection.execute(query).scalar_one())


def generations(database, job_id):
    query = select(Generation.__table__).filter_by(job_id=job_id)
    return database.read_now(lambda connection: connection.execute(query).all())
