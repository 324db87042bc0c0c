"""Decides everything about a job before it is written: plan, quotes, hold, schedule."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from random import getrandbits
from typing import Any, cast

import orjson

from broker import routing
from broker.accounts import Principal, Scope, access
from broker.billing.funds import Payer
from broker.clock import now_ms
from broker.completion import Json
from broker.enums import JobState
from broker.errors import InvalidRequestError, WaybillError
from broker.ids import new_job_id
from broker.jobs.privacy import store_of
from broker.lifecycle import coalescing
from broker.money import usd
from broker.providers.endpoints import Endpoint
from broker.queues import REDISPATCH_MS, Lane, flow_of
from broker.requests.operations import STREAMED
from broker.routing import (
    ORDINARY,
    Plan,
    RoutingContext,
    RoutingRequest,
    native_batches,
    requirements,
    workspace_credentials,
)
from broker.settings import Settings
from broker.submission.options import JobColumns, JobOptions, NewJob, Schedule
from broker.submission.quotes import Quotes, quotes

SEED_BITS = 32
MAX_WORD = 256

NOT_ASKED = frozenset(
    {"idempotency_key", "session_id", "app", "origin", "store", "asked", "preset_prompt"}
)
"""Fields of a wish that may differ where the same is asked again."""


def prepare(
    body: Json,
    wish: JobOptions,
    principal: Principal,
    endpoints: Mapping[str, Sequence[Endpoint]],
    settings: Settings,
    circumstances: RoutingContext = ORDINARY,
) -> NewJob:
    """Decide everything about a job; pure but for the clock and the id. Raises WaybillError."""
    now = now_ms()
    ask = routing_request(body)
    plan = routing.plan(ask, endpoints, _with_seed(circumstances))
    plan = workspace_credentials.plan_credentials(plan, principal.own_keys)
    plan, quoted = _within_max_cost(plan, _quotes(body, wish, plan, settings), wish)
    native = native_batches.choose_columns(
        body,
        plan,
        time_left_ms=None if wish.deadline is None else wish.deadline - now,
        min_ms=int(settings.native_batch_min_deadline_seconds * 1000),
    )
    places = (0, native.get("position", 0))
    hold = max(quoted.nanos[place] for place in places)
    least = max(quoted.least[place] for place in places)
    row = _row(body, wish, principal, plan, settings, now, hold)
    if native:  # what falls back waits in line, to be tried at the first place
        line = flow_of(principal.workspace_id, wish.batch_id, wish.priority)
        row = {**row, **native, "line": line}
    payload = {
        "job_id": row["id"],
        "request": orjson.dumps(body),
        "plan": routing.encode_plan(plan),
        "quotes": orjson.dumps(quoted.nanos).decode(),
        "extra": _extra(body, wish),
    }
    payer = Payer(
        principal.workspace_id, principal.api_key_id, principal.unlimited, principal.is_budgeted
    )
    shares = coalescing.fingerprint(
        body, wish.operation, asked=wish.coalesce, bounds=access.bounds(principal)
    )
    return NewJob(
        row, payload, payer, quoted, least_nanos=least, is_free=_is_free(ask, plan), shares=shares
    )


def repeat(row: Mapping[str, Any], principal: Principal, refusal: WaybillError) -> NewJob:
    """Return a job (its row) to be submitted again: it is found by its key, or refused."""
    payer = Payer(principal.workspace_id, principal.api_key_id, unlimited=True, budgeted=False)
    columns = cast("JobColumns", row)  # it was stored: it has them all, and more
    return NewJob(columns, {}, payer, Quotes((), ()), refusal=refusal)


def _is_free(ask: RoutingRequest, plan: Plan) -> bool:
    """Tell whether a job counts against the limits of free models, whatever name it came by."""
    names = [*ask.models, *(plan[place].model for place in range(len(plan)))]
    return any(routing.names_free_model(name) for name in names)


def _extra(body: Json, wish: JobOptions) -> str | None:
    """Return what is kept beside the job to be shown and searched: JSON."""
    metadata = {**(body.get("metadata") or {}), **(wish.extra.get("metadata") or {})}
    told = {"metadata": metadata, "trace": body.get("trace"), "origin": wish.origin}
    told["preset_prompt"] = wish.preset_prompt
    extra = wish.extra | {name: value for name, value in told.items() if value}
    return orjson.dumps(extra).decode() if extra else None


def _word(value: Any) -> str | None:
    """Return a caller's own label as it is stored: without NUL, which PostgreSQL refuses."""
    return value.replace("\0", "")[:MAX_WORD] or None if isinstance(value, str) else None


def routing_request(body: Json) -> RoutingRequest:
    """Read what a body asks of routing. Raises InvalidRequestError that names the field."""
    models, needed = routing.requested_models(body), requirements.find_requirements(body)
    wishes = routing.read_preferences(body)
    if not any(name in routing.ROUTERS for name in models):
        return RoutingRequest(models, needed, wishes)
    choice = routing.read_auto_options(body, routing.classify(body, needed))
    return RoutingRequest(models, needed, wishes, choice)


def _with_seed(circumstances: RoutingContext) -> RoutingContext:
    """Give each job dice of its own, unless they were chosen."""
    if circumstances.seed:
        return circumstances
    return replace(circumstances, seed=getrandbits(SEED_BITS))


def _row(
    body: Json,
    wish: JobOptions,
    principal: Principal,
    plan: Plan,
    settings: Settings,
    now: int,
    hold: int,
) -> JobColumns:
    return {
        "id": new_job_id(),
        "workspace_id": principal.workspace_id,
        "api_key_id": principal.api_key_id,
        "operation": wish.operation.value,
        "lane": wish.lane.value,
        "model": plan[0].model,
        "provider": plan[0].provider,
        "stream": wish.operation in STREAMED and bool(body.get("stream")),
        "position": 0,
        "attempt": 0,
        "attempts_used": 0,
        "tries_here": 0,
        "max_attempts": wish.max_attempts or settings.default_max_attempts,
        "on_unknown": wish.on_unknown.value,
        "cancel_requested": False,
        "hold_nanos": hold,
        "batch_id": wish.batch_id,
        "priority": wish.priority,
        "app": wish.app,
        "end_user": _word(body.get("user")),
        "session_id": _word(body.get("session_id") or wish.session_id),
        "line": _flow(wish, principal.workspace_id),
        "webhook": wish.webhook,
        "coalesced_with": None,
        "store": store_of(body, wish.store, principal.settings, settings.store),
        "idempotency_key": wish.idempotency_key,
        "fingerprint": (
            fingerprint(wish.asked or body, wish, principal) if wish.idempotency_key else None
        ),
        "created_at": now,
        **_schedule(wish, now, settings),
    }


def _flow(wish: JobOptions, workspace_id: str) -> str | None:
    """Return where a job waits for the dispatcher to feed it; an interactive one does not."""
    if wish.lane is Lane.INTERACTIVE:
        return None
    return flow_of(workspace_id, wish.batch_id, wish.priority)


def _quotes(body: Json, wish: JobOptions, plan: Plan, settings: Settings) -> Quotes:
    """Return what the job may cost at each place."""
    return quotes(
        body,
        wish.operation,
        plan,
        likely=settings.likely_completion_tokens,
        most=settings.most_held_completion_tokens,
        fee=settings.byok_fee_percent,
    )


def _within_max_cost(plan: Plan, quoted: Quotes, wish: JobOptions) -> tuple[Plan, Quotes]:
    """Leave out the places that are dearer than the job may be. Raises where that is all."""
    most = wish.max_cost_nanos
    if most is None or max(quoted.least) <= most:
        return plan, quoted
    kept = [place for place, nanos in enumerate(quoted.least) if nanos <= most]
    if kept:
        return plan.select(kept, "max_cost"), quoted.keeping(kept)
    needed = f"{usd(min(quoted.least)):.6f} USD ({quoted.likely})"
    raise InvalidRequestError(
        f"This job may cost {needed}, more than its max_cost "
        f"of {usd(most):.6f}: raise max_cost or lower max_tokens.",
        param="max_cost",
    )


def _schedule(wish: JobOptions, now: int, settings: Settings) -> Schedule:
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


def fingerprint(body: Json, wish: JobOptions, principal: Principal) -> str:
    """Digest all that was asked: the same key with anything else is another request.

    So is the request of another caller, where either sees its own jobs only.
    """
    asked = {
        each.name: getattr(wish, each.name) for each in fields(wish) if each.name not in NOT_ASKED
    }
    owner = principal.owner_filter(Scope.JOBS)
    told = [body, asked] if owner is None else [body, asked, owner]
    canonical = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()
