"""From a validated body to a durable job: plan, quote, hold, insert, in one grouped transaction."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from random import getrandbits
from typing import Any

import orjson
from sqlalchemy import Connection, insert

from broker import access, coalescing, idempotency, ledger, native_lane, needs, own_keys, routing
from broker.accounts import Principal
from broker.clock import now_ms
from broker.completion import Json
from broker.errors import InvalidRequestError, WaybillError
from broker.fairness import line_of
from broker.idempotency import KnownKeys
from broker.ids import new_job_id
from broker.limits import Limit
from broker.money import usd
from broker.operations import Operation
from broker.privacy import store_of
from broker.queues import FOLLOWING_LANE, Lane
from broker.quotes import Quotes, quotes
from broker.retries import OnUnknown
from broker.routing import ORDINARY, Ask, Circumstances, Endpoint, Plan
from broker.settings import Settings
from broker.spending import Payer, Purse
from broker.states import JobState
from broker.tables import Job, JobPayload

SEED_BITS = 32
REDISPATCH_MS = 15_000
"""A published job that nobody claimed within this time is published again."""

MAX_WORD = 256

NOT_ASKED = frozenset({"idempotency_key", "session_id", "app", "origin", "store", "asked"})
"""Fields of a wish that may differ where the same is asked again."""

_jobs: Any = Job.__table__  # type: ignore[attr-defined]
_payloads: Any = JobPayload.__table__  # type: ignore[attr-defined]
_INSERT_JOBS = insert(_jobs)
_INSERT_PAYLOADS = insert(_payloads)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller may ask of a job beyond its body. Times are Unix milliseconds."""

    operation: Operation = Operation.CHAT
    lane: Lane = Lane.INTERACTIVE
    idempotency_key: str | None = None
    not_before: int | None = None
    deadline: int | None = None
    max_attempts: int | None = None
    max_cost_nanos: int | None = None
    on_unknown: OnUnknown = OnUnknown.RETRY
    webhook: str | None = None  # JSON {url, events}, see `webhooks.job_webhook`
    batch_id: str | None = None
    priority: int = 0  # higher goes first
    session_id: str | None = None  # the body's own goes before it
    app: str | None = None  # what program asks
    store: str | None = None  # what is kept of it, see `privacy`
    origin: Json = field(default_factory=dict)  # the headers that say where it came from
    coalesce: bool = False  # one call with the identical jobs of its workspace, see `coalescing`
    extra: Json = field(default_factory=dict)  # metadata, given back as it came
    asked: Json | None = None  # the body as it came, where a preset was merged into it


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job ready to be inserted: everything decided, nothing written."""

    row: Mapping[str, Any]  # the columns of `jobs`
    payload: Mapping[str, Any]  # the columns of `job_payloads`
    payer: Payer
    held_for: Quotes
    limits: Sequence[Limit] = ()  # what it is counted against
    shares: str | None = None  # fingerprint of the call that it shares with its equals
    refusal: WaybillError | None = None  # it is only to be found by its key, never to be made

    @property
    def id(self) -> str:
        return str(self.row["id"])

    @property
    def provider(self) -> str:
        return str(self.row["provider"])


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a submission."""

    job_id: str
    replayed: bool  # the idempotency key was known: this is the earlier job
    follows: str | None = None  # it waits for this job's answer, and is not to be published


def prepare(
    body: Json,
    wish: Wish,
    principal: Principal,
    endpoints: Mapping[str, Sequence[Endpoint]],
    settings: Settings,
    circumstances: Circumstances = ORDINARY,
) -> NewJob:
    """Decide everything about a job; pure but for the clock and the id. Raises WaybillError."""
    now = now_ms()
    ask = asked(body)
    plan = routing.plan(ask, endpoints, _with_dice(circumstances))
    plan = own_keys.planned(plan, principal.own_keys)
    plan, quoted = _affordable(plan, _quotes(body, wish, plan, ask, settings), wish)
    row = _row(body, wish, principal, plan, settings, now)
    native = native_lane.columns(
        body,
        plan,
        patience_ms=None if wish.deadline is None else wish.deadline - now,
        least_ms=int(settings.native_batch_min_deadline_seconds * 1000),
    )
    if native:  # what falls back waits in line, to be tried at the first place
        line = line_of(principal.workspace_id, wish.batch_id, wish.priority)
        row |= native | {"line": line}
    row["hold_nanos"] = max(quoted.nanos[0], quoted.nanos[row["position"]])
    payload = {
        "job_id": row["id"],
        "request": orjson.dumps(body),
        "plan": routing.encode(plan),
        "quotes": orjson.dumps(quoted.nanos).decode(),
        "extra": _extra(body, wish),
    }
    payer = Payer(
        principal.workspace_id, principal.api_key_id, principal.unlimited, principal.is_budgeted
    )
    shares = coalescing.fingerprint(
        body, wish.operation, asked=wish.coalesce, bounds=access.bounds(principal)
    )
    return NewJob(row, payload, payer, quoted, shares=shares)


def repeat(row: Mapping[str, Any], principal: Principal, refusal: WaybillError) -> NewJob:
    """Return a job (its row) to be submitted again: it is found by its key, or refused."""
    payer = Payer(principal.workspace_id, principal.api_key_id, unlimited=True, budgeted=False)
    return NewJob(row, {}, payer, Quotes((), 0, 0, None), refusal=refusal)


def _extra(body: Json, wish: Wish) -> str | None:
    """Return what is kept beside the job to be shown and searched: JSON."""
    metadata = {**(body.get("metadata") or {}), **(wish.extra.get("metadata") or {})}
    told = {"metadata": metadata, "trace": body.get("trace"), "origin": wish.origin}
    extra = wish.extra | {name: value for name, value in told.items() if value}
    return orjson.dumps(extra).decode() if extra else None


def _word(value: Any) -> str | None:
    """A caller's own word for something, as it is kept: PostgreSQL takes no NUL."""
    return value.replace("\0", "")[:MAX_WORD] or None if isinstance(value, str) else None


def asked(body: Json) -> Ask:
    """Read what a body asks of routing. Raises InvalidRequestError that names the field."""
    models, needed = routing.requested_models(body), needs.of(body)
    wishes = routing.preferences(body)
    if not any(name in routing.ROUTERS for name in models):
        return Ask(models, needed, wishes)
    choice = routing.auto_wishes(body, routing.classify(body, needed))
    return Ask(models, needed, wishes, choice)


def _with_dice(circumstances: Circumstances) -> Circumstances:
    """Give each job dice of its own, unless they were chosen."""
    if circumstances.seed:
        return circumstances
    seed = getrandbits(SEED_BITS)
    return Circumstances(circumstances.snapshot, circumstances.warm, seed, circumstances.fits)


def _row(
    body: Json, wish: Wish, principal: Principal, plan: Plan, settings: Settings, now: int
) -> dict[str, Any]:
    return {
        "id": new_job_id(),
        "workspace_id": principal.workspace_id,
        "api_key_id": principal.api_key_id,
        "operation": wish.operation.value,
        "lane": wish.lane.value,
        "model": plan[0].model,
        "provider": plan[0].provider,
        "stream": wish.operation is Operation.CHAT and bool(body.get("stream")),
        "position": 0,
        "attempt": 0,
        "attempts_used": 0,
        "tries_here": 0,
        "max_attempts": wish.max_attempts or settings.default_max_attempts,
        "on_unknown": wish.on_unknown.value,
        "cancel_requested": False,
        "batch_id": wish.batch_id,
        "priority": wish.priority,
        "app": wish.app,
        "end_user": _word(body.get("user")),
        "session_id": _word(body.get("session_id") or wish.session_id),
        "line": _line(wish, principal.workspace_id),
        "webhook": wish.webhook,
        "coalesced_with": None,
        "store": store_of(body, wish.store, principal.settings, settings.store),
        "idempotency_key": wish.idempotency_key,
        "fingerprint": fingerprint(wish.asked or body, wish) if wish.idempotency_key else None,
        "created_at": now,
        **_schedule(wish, now, settings),
    }


def _line(wish: Wish, workspace_id: str) -> str | None:
    """Return where a job waits for the dispatcher to feed it; an interactive one does not."""
    if wish.lane is Lane.INTERACTIVE:
        return None
    return line_of(workspace_id, wish.batch_id, wish.priority)


def _quotes(body: Json, wish: Wish, plan: Plan, ask: Ask, settings: Settings) -> Quotes:
    """Return what the job may cost at each place."""
    return quotes(
        body,
        wish.operation,
        plan,
        inputs=ask.needs.input_tokens,
        likely=settings.likely_completion_tokens,
        most=settings.most_held_completion_tokens,
        fee=settings.byok_fee_percent,
    )


def _affordable(plan: Plan, quoted: Quotes, wish: Wish) -> tuple[Plan, Quotes]:
    """Leave out the places that are dearer than the job may be. Raises where that is all."""
    most = wish.max_cost_nanos
    if most is None or max(quoted.nanos) <= most:
        return plan, quoted
    kept = [place for place, nanos in enumerate(quoted.nanos) if nanos <= most]
    if kept:
        nanos = tuple(quoted.nanos[place] for place in kept)
        return plan.keeping(kept, "max_cost"), replace(quoted, nanos=nanos)
    raise InvalidRequestError(
        f"This job may cost {usd(min(quoted.nanos)):.6f} USD ({quoted}), more than its max_cost "
        f"of {usd(most):.6f}: raise max_cost or lower max_tokens.",
        param="max_cost",
    )


def submit_many(connection: Connection, jobs: Sequence[NewJob]) -> Sequence[Submitted | Exception]:
    """Insert jobs with their holds; a known idempotency key gives the earlier job instead."""
    now = max(job.row["created_at"] for job in jobs)
    purse = Purse.open(connection, (job.payer for job in jobs), now)
    # under the lock: a twin may just have been accepted
    known = idempotency.known_keys(connection, [job.row for job in jobs])
    results: list[Submitted | Exception] = []
    accepted: list[NewJob] = []
    for job in jobs:
        result = _replay(job, known) or job.refusal or _take(purse, job)
        if result is None:
            accepted.append(job)
            result = Submitted(job.id, replayed=False)
            idempotency.remember(job.row, known)
        results.append(result)
    leader_of = _insert(connection, accepted)
    return [_following(result, leader_of) for result in results] if leader_of else results


def _following(
    result: Submitted | Exception, leader_of: Mapping[str, str]
) -> Submitted | Exception:
    if isinstance(result, Exception) or result.replayed:
        return result
    leader = leader_of.get(result.job_id, result.job_id)
    return result if leader == result.job_id else replace(result, follows=leader)


def _insert(connection: Connection, jobs: Sequence[NewJob]) -> Mapping[str, str]:
    """Insert jobs, their bodies and holds; return who leads the calls of those that share one."""
    if not jobs:
        return {}
    joining = [
        coalescing.Joining(job.id, job.row["workspace_id"], job.shares, job.row["lane"])
        for job in jobs
        if job.shares is not None
    ]
    leader_of = coalescing.join(connection, joining) if joining else {}
    rows = [_row_of(job, leader_of[job.id]) if job.shares else job.row for job in jobs]
    connection.execute(_INSERT_JOBS, rows)
    connection.execute(_INSERT_PAYLOADS, [job.payload for job in jobs])
    ledger.append(
        connection,
        [
            ledger.hold(
                workspace_id=job.row["workspace_id"],
                api_key_id=job.row["api_key_id"],
                job_id=job.id,
                nanos=job.row["hold_nanos"],
                now=job.row["created_at"],
            )
            for job in jobs
        ],
    )
    if joining:
        coalescing.enter(connection, joining, leader_of)
    return leader_of


def _row_of(job: NewJob, leader: str) -> dict[str, Any]:
    """Return the row of a job that shares its call; a follower waits in a lane without queues."""
    lane = job.row["lane"] if leader == job.id else FOLLOWING_LANE
    return {**job.row, "lane": lane, "coalesced_with": leader}


def _take(purse: Purse, job: NewJob) -> WaybillError | None:
    return purse.take(job.payer, job.row["hold_nanos"], job.held_for)


def _replay(job: NewJob, known: KnownKeys) -> Submitted | Exception | None:
    earlier = idempotency.earlier(job.row, known)
    return Submitted(earlier, replayed=True) if isinstance(earlier, str) else earlier


def _schedule(wish: Wish, now: int, settings: Settings) -> dict[str, Any]:
    """Decide when the job may run and when the dispatcher looks at it.

    An interactive job is published by its submitter right after the commit, so the dispatcher
    comes only if that was lost. Everything else waits for the dispatcher.
    """
    deadline = wish.deadline or now + int(settings.default_deadline_seconds * 1000)
    available = max(wish.not_before or now, now)
    published = wish.lane is Lane.INTERACTIVE and available <= now
    return {
        "state": (JobState.SCHEDULED if available > now else JobState.QUEUED).value,
        "available_at": available,
        "dispatch_at": min(now + REDISPATCH_MS if published else available, deadline),
        "deadline_at": deadline,
    }


def fingerprint(body: Json, wish: Wish) -> str:
    """Digest all that was asked: the same key with anything else is another request."""
    asked = {
        each.name: getattr(wish, each.name) for each in fields(wish) if each.name not in NOT_ASKED
    }
    canonical = orjson.dumps([body, asked], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()
