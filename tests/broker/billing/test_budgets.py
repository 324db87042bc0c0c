"""Budgets: every one that applies must hold; what is spent comes from the sums."""

import asyncio
import dataclasses

import orjson
import pytest
from sqlalchemy import select, update

from broker import accounts
from broker.billing import budgets
from broker.billing.budget_notices import announce_thresholds
from broker.billing.budgets import BudgetRequest
from broker.enums import BudgetScope, JobState
from broker.errors import BudgetExceededError, InsufficientCreditsError, InvalidRequestError
from broker.lifecycle import Extension, decide, extend_many, needs_extension
from broker.lifecycle.retries import GiveUp
from broker.money import usd
from broker.storage.tables import ApiKey, Delivery
from broker.submission import Submitted, submit_many
from broker.usage import Reset
from broker.usage.periods import DAY_MS
from tests.broker.webhooks.factories import make_endpoint
from tests.factories import (
    HOLD,
    NOW,
    cancel,
    failed,
    finished,
    job_row,
    make_new_job,
    make_principal,
    record,
    run,
    submit_and_claim,
    write,
)


def limit(
    database, caller, nanos, reset=Reset.DAILY, scope=BudgetScope.WORKSPACE, subject=None, soft=0
):
    """Set a budget; return the caller as the next look at its key shows it."""
    subject = subject or {BudgetScope.KEY: caller.api_key_id}.get(scope, caller.workspace_id)
    wish = BudgetRequest(caller.workspace_id, scope, subject, reset, nanos, bool(soft), NOW)
    with database.transaction() as connection:
        budgets.put_budget(connection, wish)
    return dataclasses.replace(caller, is_budgeted=True)


def limit_key(database, caller, nanos, reset=None):
    with database.transaction() as connection:
        columns = {"limit_nanos": nanos, "limit_reset": reset}
        where = ApiKey.__table__.c.id == caller.api_key_id
        connection.execute(update(ApiKey.__table__).where(where).values(columns))
    return dataclasses.replace(caller, is_budgeted=True)


def try_to_submit(database, caller, **more):
    [result] = run(database, submit_many, make_new_job(caller, **more))
    return result


def spend(database, caller, cost, now=NOW):
    job = submit_and_claim(database, caller, now=now)
    record(database, finished(job, now=now, cost=cost))


def test_open_holds_and_spending_count_together(database, caller):
    # Given a day's budget for two holds, half a hold of which is spent
    caller = limit(database, caller, 2 * HOLD)
    spend(database, caller, HOLD // 2)
    # When three jobs come in one group
    jobs = [make_new_job(caller) for _ in range(3)]
    first, *others = run(database, submit_many, *jobs)
    # Then one is admitted, and the others hear which budget it was
    assert isinstance(first, Submitted)
    assert [each.status for each in others] == [403, 403]
    metadata = others[0].metadata
    assert metadata["budget"]["reset_interval"] == "daily"
    assert metadata["budget"]["limit_usd"] == pytest.approx(2e-6)
    assert metadata["reason"] == "in_flight_budget_exhausted"
    assert others[0].headers["Retry-After"]


def test_a_budget_begins_anew_with_its_period(database, caller):
    caller = limit(database, caller, HOLD)
    spend(database, caller, HOLD)
    refusal = try_to_submit(database, caller)
    assert isinstance(refusal, BudgetExceededError)
    assert refusal.metadata["reason"] == "weight_exceeds_budget"
    assert "Retry-After" not in refusal.headers
    assert isinstance(try_to_submit(database, caller, now=NOW + DAY_MS), Submitted)


def test_spending_of_the_new_period_is_never_forgotten(database, caller):
    # litellm#36940 …: a reset that erases what was spent since. Here nothing is ever reset.
    caller = limit(database, caller, 2 * HOLD)
    spend(database, caller, 2 * HOLD)
    tomorrow = NOW + DAY_MS
    spend(database, caller, HOLD, now=tomorrow)
    spend(database, caller, HOLD, now=tomorrow)
    assert isinstance(try_to_submit(database, caller, now=tomorrow), BudgetExceededError)


def test_what_was_spent_counts_though_nothing_in_the_background_has_run(database, caller):
    """Elsewhere budgets hang on a projection that is written later, or never (langwatch#6141)."""
    caller = limit(database, caller, 20 * HOLD)
    for _ in range(20):
        spend(database, caller, HOLD)
    refusal = try_to_submit(database, caller)
    assert refusal.metadata["budget"]["spend_usd"] == pytest.approx(20 * HOLD / 1e9)


def test_a_dearer_fallback_does_not_pass_a_budget_either(database, caller):
    """Elsewhere the fallback's price is neither checked nor reserved (litellm PR #41379)."""
    caller = limit(database, caller, HOLD + 100)
    places = [("alpha", "m/one"), ("beta", "m/two")]
    job = submit_and_claim(database, caller, places=places, more=500)
    ending = failed(job)
    decision = decide(job, ending.failure, NOW)
    assert needs_extension(job, decision)
    [decision] = run(database, extend_many, Extension(job, ending.failure, decision, NOW))
    record(database, dataclasses.replace(ending, decision=decision))
    row = job_row(database, job.id)
    assert (row.position, row.hold_nanos) == (0, HOLD)


def test_every_budget_that_applies_must_hold(database, caller):
    caller = limit(database, caller, 5 * HOLD, Reset.DAILY)
    caller = limit(database, caller, 6 * HOLD, Reset.MONTHLY)
    caller = limit(database, caller, HOLD, Reset.LIFETIME, BudgetScope.KEY)
    spend(database, caller, HOLD)
    refusal = try_to_submit(database, caller)
    assert refusal.metadata["budget"]["scope"] == "key"
    assert refusal.status == 402


def test_one_keys_budget_does_not_limit_another(database, caller):
    limited = limit(database, caller, HOLD, scope=BudgetScope.KEY)
    spend(database, limited, HOLD)
    other = dataclasses.replace(limited, api_key_id="key_other")
    assert isinstance(try_to_submit(database, other), Submitted)


def test_an_overdrawn_balance_is_told_as_it_is(database):
    caller = make_principal(database, credit=HOLD)
    spend(database, caller, 3 * HOLD)
    refusal = try_to_submit(database, caller)
    assert refusal.status == 402
    assert f"-{usd(2 * HOLD):.6f} are left" in refusal.message


def test_a_keys_own_limit_is_a_402(database, caller):
    caller = limit_key(database, caller, HOLD, "weekly")
    spend(database, caller, HOLD)
    refusal = try_to_submit(database, caller)
    assert isinstance(refusal, InsufficientCreditsError)
    assert refusal.metadata["limit_source"] == "openrouter_key_limit"
    assert isinstance(try_to_submit(database, caller, now=NOW + 7 * DAY_MS), Submitted)


def test_a_members_budget_counts_all_their_keys(database, caller):
    # Given a member with a key, and a budget for the member
    with database.transaction() as connection:
        where = ApiKey.__table__.c.id == caller.api_key_id
        connection.execute(update(ApiKey.__table__).where(where).values(created_by="usr_1"))
    caller = limit(database, caller, HOLD, scope=BudgetScope.MEMBER, subject="usr_1")
    # Then the member is limited and nobody else is
    spend(database, caller, HOLD)
    assert isinstance(try_to_submit(database, caller), BudgetExceededError)
    colleague = dataclasses.replace(caller, api_key_id="key_other")
    assert isinstance(try_to_submit(database, colleague), Submitted)


def test_a_soft_budget_never_refuses(database, caller):
    caller = limit(database, caller, 1, soft=True)
    assert isinstance(try_to_submit(database, caller), Submitted)


def test_what_did_not_happen_is_given_back(database, caller):
    caller = limit(database, caller, HOLD)
    job = submit_and_claim(database, caller)
    cancel(database, job.id, caller.workspace_id)
    assert isinstance(try_to_submit(database, caller), BudgetExceededError)  # it runs still

    record(database, failed(job, decision=GiveUp(JobState.CANCELLED)))
    assert isinstance(try_to_submit(database, caller), Submitted)


@pytest.mark.parametrize("scope", [BudgetScope.WORKSPACE, BudgetScope.KEY, BudgetScope.MEMBER])
async def test_fifty_at_once_never_pass_a_budget(url, database, connect, caller, scope):
    """Others check here and count there (litellm#34732, #26672), count in each process by itself
    (bifrost#3547), or skip the budget for the first requests ever of whom they do not know yet
    (litellm#40095)."""
    if scope is BudgetScope.MEMBER:
        with database.transaction() as connection:
            accounts.change_key(connection, caller.api_key_id, {"created_by": "usr_1"})
    subject = "usr_1" if scope is BudgetScope.MEMBER else None
    caller = limit(database, caller, 5 * HOLD, scope=scope, subject=subject)
    sides = [database, connect(url)]
    writes = [sides[n % 2].write_grouped(submit_many, make_new_job(caller)) for n in range(50)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(each, Submitted) for each in results) == 5


def test_a_longer_period_must_allow_more(database, caller):
    limit(database, caller, 10, Reset.WEEKLY)
    for nanos, reset in ((10, Reset.MONTHLY), (5, Reset.LIFETIME), (11, Reset.DAILY)):
        with pytest.raises(InvalidRequestError) as refusal:
            limit(database, caller, nanos, reset)
        assert refusal.value.param == "limit_usd"
    limit(database, caller, 9, Reset.DAILY)
    limit(database, caller, 20, Reset.WEEKLY)  # a budget may replace itself


def deliveries(database):
    query = select(Delivery.__table__).order_by(Delivery.__table__.c.id)
    return database.read_now(lambda c: c.execute(query).all())


def test_each_threshold_is_told_once_a_period(database, caller):
    """Not once and never again (litellm#16185), nor with every request (litellm#3738, #3113)."""
    # Given a soft budget and somebody who wants to hear of it
    caller = limit(database, caller, 10 * HOLD, soft=True)
    make_endpoint(database, caller.workspace_id, events=["budget.threshold"])
    # When spending passes 50, 80 and 100 per cent
    told = []
    for cost in (4 * HOLD, 2 * HOLD, 0, 3 * HOLD, 2 * HOLD, 5 * HOLD):
        spend(database, caller, cost)
        told.append(write(database, announce_thresholds, NOW))
    # Then each is announced once, and again in the next period
    assert told == [0, 1, 0, 1, 1, 0]
    sent = [orjson.loads(row.payload)["data"] for row in deliveries(database)]
    assert [each["threshold_percent"] for each in sent] == [50, 80, 100]
    assert sent[0]["spend_usd"] == pytest.approx(6e-6)
    spend(database, caller, 6 * HOLD, now=NOW + DAY_MS)
    assert write(database, announce_thresholds, NOW + DAY_MS) == 1


@pytest.mark.parametrize(
    ("cents", "told"), [(40, 0), (749, 0), (750, 1), (1_199, 1), (1_485, 1), (1_500, 1)]
)
def test_a_share_of_a_budget_is_told_when_it_is_spent_and_not_before(database, caller, cents, told):
    """A rule for more than 99 % went off at 40 cents of 15 dollars (bifrost#5770)."""
    caller = limit(database, caller, 15 * 10**9)
    spend(database, caller, cents * 10**7)
    assert write(database, announce_thresholds, NOW) == told


def test_a_keys_own_limit_is_told_like_a_budget(database, caller):
    caller = limit_key(database, caller, 10 * HOLD, "daily")
    make_endpoint(database, caller.workspace_id, events=["budget.threshold"])
    told = []
    for days, cost in ((0, 4 * HOLD), (0, 4 * HOLD), (0, HOLD // 2), (1, 5 * HOLD), (2, HOLD)):
        now = NOW + days * DAY_MS
        spend(database, caller, cost, now=now)
        told += [write(database, announce_thresholds, now + more) for more in (0, 2_000)]
    assert told == [0, 0, 1, 0, 0, 0, 1, 0, 0, 0]
    first, second = (orjson.loads(row.payload)["data"] for row in deliveries(database))
    assert (first["scope"], first["subject_id"], first["object"]) == (
        "key",
        caller.api_key_id,
        "key_limit",
    )
    assert (first["threshold_percent"], second["threshold_percent"]) == (80, 50)
    assert first["limit_usd"] == pytest.approx(1e-5)
    assert first["resets_at"] is not None


def test_what_the_callers_own_account_paid_counts_where_the_limit_says_so(database, caller):
    caller = limit_key(database, caller, HOLD)
    job = submit_and_claim(database, caller)
    ending = finished(job, cost=1)
    generation = ending.generation._replace(byok_cost_nanos=HOLD)
    record(database, dataclasses.replace(ending, generation=generation))
    assert write(database, announce_thresholds, NOW) == 0
    with database.transaction() as connection:
        accounts.change_key(connection, caller.api_key_id, {"include_byok_in_limit": True})
    assert write(database, announce_thresholds, NOW) == 1
