"""The promises hold for any order of calls, crashes and duplicate messages."""

import dataclasses
from collections import defaultdict
from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from broker import lifecycle
from broker.billing import budgets, ledger
from broker.billing.budgets import BudgetRequest
from broker.completion import AttemptOutcome, ErrorType
from broker.dispatch.dispatch import DispatchPoll, dispatch_due
from broker.enums import BudgetScope, OnUnknown
from broker.errors import (
    BudgetExceededError,
    ConflictError,
    IdempotencyMismatchError,
    InsufficientCreditsError,
)
from broker.jobs.states import TERMINAL
from broker.lifecycle import (
    Cancellation,
    Claim,
    Deferral,
    Extension,
    NewReading,
    ReadingKey,
    cancel_many,
    claim_many,
    decide,
    defer_many,
    expire,
    extend_many,
    needs_extension,
    record_many,
    renew,
    rescue,
    store_reading,
)
from broker.providers.pacing import Busy, Cause
from broker.queues import Lane
from broker.routing.waiting import Congestion
from broker.submission import submit_many
from broker.usage import Reset
from tests import factories
from tests.broker import promises
from tests.factories import LEASE, NOW, balance, failed, failure, finished, make_new_job

PLACES = [("alpha", "m/one"), ("beta", "m/one"), ("alpha", "m/two")]
OWNERS = st.sampled_from(["worker-1", "worker-2"])
BUDGET = 3_500
CONCURRENCY = {"alpha": 2, "beta": 1}


class JobMachine(RuleBasedStateMachine):
    jobs = Bundle("jobs")
    claims = Bundle("claims")

    def __init__(self, database):
        super().__init__()
        self.database = database
        factories.empty(database)
        self.now = NOW
        self.callers = [
            factories.make_principal(database, credit=2_500),
            factories.make_principal(database),
            self.budgeted(factories.make_principal(database)),
        ]
        self.keys = {}
        self.reopened = defaultdict(int)
        self.read = defaultdict(dict)  # costs of OCR, by job and key
        self.told = defaultdict(list)
        self.picture = promises.take_picture(database)

    @initialize(target=jobs, lanes=st.tuples(*[st.sampled_from(Lane)] * 2))
    def some_work_is_there(self, lanes):
        wishes = [{"lane": lanes[0]}, {"lane": lanes[1], "on_unknown": OnUnknown.HOLD}]
        caller = self.callers[1]
        return multiple(*[factories.submit(self.database, caller, **wish) for wish in wishes])

    def budgeted(self, caller):
        """Limit what a caller may spend in a month."""
        place = (caller.workspace_id, BudgetScope.WORKSPACE, caller.workspace_id, Reset.MONTHLY)
        with self.database.transaction() as connection:
            budgets.put_budget(connection, BudgetRequest(*place, BUDGET, soft=False, now=NOW))
        return dataclasses.replace(caller, is_budgeted=True)

    def act(self, function, *items):
        return factories.run(self.database, function, *items)

    def write(self, function, *arguments):
        return factories.write(self.database, function, *arguments)

    def assert_no_trace(self):
        assert promises.take_picture(self.database) == self.picture

    @rule(ms=st.sampled_from([1, 700, 16_000, LEASE + 1, 200_000]))
    def time_passes(self, ms):
        self.now += ms

    @rule(nanos=st.integers(1, 2_000))
    def grant(self, nanos):
        workspace_id = self.callers[0].workspace_id
        entry = ledger.grant(workspace_id=workspace_id, nanos=nanos, now=self.now)
        with self.database.transaction() as connection:
            ledger.append(connection, [entry])

    @rule(
        target=jobs,
        who=st.integers(0, 2),
        key=st.none() | st.sampled_from(["k", "l"]),
        seed=st.integers(1, 2),
        places=st.integers(1, 3),
        more=st.sampled_from([0, 700]),
        later=st.sampled_from([None, 500, 90_000]),
        deadline=st.sampled_from([None, 10_000, 300_000]),
        lane=st.sampled_from(Lane),
        on_unknown=st.sampled_from(OnUnknown),
        max_attempts=st.integers(1, 3),
    )
    def submit(self, who, key, seed, places, more, later, deadline, **wish):
        caller = self.callers[who]
        not_before = later and self.now + later
        until = deadline and self.now + deadline
        # what the body says (places 0 and 1 are one model), and what is asked beside it
        asked = seed, places == len(PLACES), not_before, until, *wish.values()
        left = balance(self.database, caller.workspace_id)
        job = make_new_job(
            caller,
            now=self.now,
            places=PLACES[:places],
            more=more,
            body={"seed": seed},
            idempotency_key=key,
            not_before=not_before,
            deadline=until,
            **wish,
        )
        first, twin = self.act(submit_many, job, job) if key else (*self.act(submit_many, job), 0)
        if isinstance(first, IdempotencyMismatchError):
            assert self.keys[who, key][1] != asked
            self.assert_no_trace()
            return multiple()
        if isinstance(first, InsufficientCreditsError):
            assert left < job.row["hold_nanos"]
            assert not caller.unlimited
            self.assert_no_trace()
            return multiple()
        if isinstance(first, BudgetExceededError):
            assert who == 2
            self.assert_no_trace()
            return multiple()
        if first.replayed:
            assert self.keys[who, key] == (first.job_id, asked)
            self.assert_no_trace()
            return multiple()
        assert caller.unlimited or left >= job.row["hold_nanos"]
        assert (who, key) not in self.keys
        if key:
            self.keys[who, key] = first.job_id, asked
            assert (twin.job_id, twin.replayed) == (first.job_id, True)
        return first.job_id

    @rule(target=claims, job_id=jobs, owner=OWNERS)
    def doubled_message(self, job_id, owner):
        claimed, again = self.act(claim_many, *[Claim(job_id, owner, self.now, LEASE)] * 2)
        assert again is None
        if claimed is None:
            self.assert_no_trace()
            return multiple()
        return claimed

    def record(self, job, ending):
        row = self.picture.jobs[job.id]
        ours = (row.state, row.attempt) == ("running", job.attempt)
        assert [written is not None for written in self.act(record_many, ending)] == [ours]
        if not ours:
            self.assert_no_trace()

    @rule(job=claims, cost=st.integers(0, 1_500))
    def answer_comes(self, job, cost):
        self.record(job, finished(job, now=self.now, cost=cost))

    @rule(
        job=claims,
        outcome=st.sampled_from([o for o in AttemptOutcome if o is not AttemptOutcome.OK]),
        error_type=st.sampled_from(ErrorType),
        retry_after=st.sampled_from([None, 1, 100]),
        chance=st.floats(0, 0.99),
    )
    def attempt_fails(self, job, outcome, error_type, retry_after, chance):
        with mock.patch("random.random", return_value=chance):
            self.fails(job, failure(outcome, error_type, retry_after))

    def fails(self, job, why):
        """Act as a worker: decide, extend the hold for a more expensive endpoint, record."""
        decision = decide(job, why, self.now)
        if needs_extension(job, decision):
            decision = self.step(extend_many, Extension(job, why, decision, self.now))
        self.record(job, failed(job, now=self.now, why=why, decision=decision))

    @rule(job=claims, key=st.sampled_from(["a", "b"]), cost=st.sampled_from([0, 40, 90]))
    def document_is_read(self, job, key, cost):
        """OCR reads a document of a job; its cost is added once, and only while the job runs."""
        row = self.picture.jobs[job.id]
        ours = (row.state, row.attempt) == ("running", job.attempt)
        name = ReadingKey(job.workspace_id, job.id, key)
        reading = NewReading(name, job.attempt, ["text"], cost, self.now)
        expected = ours and key not in self.read[job.id]
        assert self.write(store_reading, reading) is expected
        if expected:
            self.read[job.id][key] = cost
        else:
            self.assert_no_trace()

    @rule(
        job_id=jobs,
        owner=OWNERS,
        outcome=st.sampled_from([AttemptOutcome.UNKNOWN, AttemptOutcome.INTERRUPTED]),
        cancelled=st.booleans(),
    )
    def attempt_ends_without_an_answer(self, job_id, owner, outcome, cancelled):
        job = self.step(claim_many, Claim(job_id, owner, self.now, LEASE))
        if job is None:
            return
        if cancelled:
            self.step(cancel_many, Cancellation(job_id, job.workspace_id, self.now))
        self.fails(job, failure(outcome, ErrorType.TIMEOUT))

    @rule(
        job_id=jobs,
        owner=OWNERS,
        claimed=st.booleans(),
        wait=st.sampled_from([200, 5_000, 400_000]),
    )
    def provider_is_busy(self, job_id, owner, claimed, wait):
        """A job waits or moves on, claimed already or not."""
        provider = self.picture.jobs[job_id].provider
        attempt = None
        if claimed:
            job = self.step(claim_many, Claim(job_id, owner, self.now, LEASE))
            if job is None:
                return
            attempt = job.attempt
            self.told[job_id].pop()  # a claim that is taken back was told to nobody
        busy = Busy(provider, Cause.CONCURRENCY, self.now + wait)
        self.act(defer_many, Deferral(job_id, self.now, busy, Congestion(), attempt))

    @rule(one=claims, other=consumes(claims))
    def two_endings_in_one_group(self, one, other):
        live = {
            (row.id, row.attempt) for row in self.picture.jobs.values() if row.state == "running"
        }
        endings = [finished(job, now=self.now, cost=10) for job in (one, other)]
        expected = []
        for job in (one, other):
            expected.append((job.id, job.attempt) in live)
            live.discard((job.id, job.attempt))
        written = self.act(record_many, *endings)
        assert [each is not None for each in written] == expected

    @rule(job_id=jobs, stranger=st.booleans())
    def cancel(self, job_id, stranger):
        row = self.picture.jobs[job_id]
        other = next(c.workspace_id for c in self.callers if c.workspace_id != row.workspace_id)
        wish = Cancellation(job_id, other if stranger else row.workspace_id, self.now)
        [state] = self.act(cancel_many, wish)
        if stranger or row.state in TERMINAL:
            self.assert_no_trace()
        else:
            assert state.value == ("running" if row.state == "running" else "cancelled")

    @rule(job_id=jobs)
    def reopen(self, job_id):
        row = self.picture.jobs[job_id]
        try:
            self.write(lifecycle.reopen, job_id, row.workspace_id, self.now)
        except ConflictError:
            assert row.state != "needs_review"
            self.assert_no_trace()
        else:
            self.reopened[job_id] += 1

    @rule(owner=OWNERS, job_id=jobs)
    def sign_of_life(self, owner, job_id):
        attempts = {job_id: self.picture.jobs[job_id].attempt}
        self.write(renew, owner, self.now + LEASE, attempts)

    @rule(owner=st.none() | OWNERS)
    def lost_workers_are_noticed(self, owner):
        self.write(rescue, self.now, owner)

    @rule()
    def deadlines_are_looked_at(self):
        self.write(expire, self.now)

    @rule()
    def entries_are_sealed(self):
        factories.write(self.database, ledger.chain_entries)

    @rule()
    def dispatcher_looks(self):
        self.dispatch()

    def dispatch(self):
        published = self.write(dispatch_due, DispatchPoll(self.now, CONCURRENCY))
        assert len({job.job_id for job in published}) == len(published)
        return published

    @invariant()
    def the_promises_hold(self):
        before, self.picture = self.picture, promises.take_picture(self.database)
        promises.check_history(before, self.picture)
        promises.check_books(self.picture)
        promises.check_attempts(self.picture, self.reopened)
        promises.check_answers(self.picture)
        promises.check_readings(self.picture, self.read)
        promises.check_limit(self.picture, self.callers[2].workspace_id, BUDGET)
        promises.check_holds(self.picture)
        promises.check_overshoot(self.picture, self.callers[2].workspace_id, BUDGET)
        assert self.database.read_now(ledger.verify).flaws == []
        promises.check_story(self.database, self.picture, self.told)
        for caller in self.callers:
            expected = promises.expected_balance(self.picture, caller.workspace_id)
            assert balance(self.database, caller.workspace_id) == expected

    def step(self, function, item):
        [result] = self.act(function, item)
        self.the_promises_hold()
        return result

    def teardown(self):
        """No accepted job is lost: left to dispatcher and workers alone, every job ends."""
        for _ in range(40):
            open_jobs = [row for row in self.picture.jobs.values() if row.state not in TERMINAL]
            if not open_jobs:
                return
            self.now += LEASE + 1
            self.write(rescue, self.now)
            self.the_promises_hold()
            self.write(expire, self.now)
            self.the_promises_hold()
            jobs = self.write(dispatch_due, DispatchPoll(self.now, CONCURRENCY))
            self.the_promises_hold()
            for job in jobs:
                claimed = self.step(claim_many, Claim(job.job_id, "worker-3", self.now, LEASE))
                if claimed:
                    self.step(record_many, finished(claimed, now=self.now))
            for row in open_jobs:
                if row.state == "needs_review":
                    self.step(cancel_many, Cancellation(row.id, row.workspace_id, self.now))
        raise AssertionError(f"these jobs never end: {open_jobs}")


def explore(database, examples, steps):
    run_state_machine_as_test(
        lambda: JobMachine(database),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.reuse, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_promises_hold_on_sqlite(sqlite_url, connect):
    explore(connect(sqlite_url), examples=40, steps=30)


def test_the_promises_hold_on_postgresql(postgres):
    explore(postgres, examples=8, steps=25)
