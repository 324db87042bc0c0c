"""Decide everything about a job before it is written: plan, quotes, hold, schedule."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from random import getrandbits
from typing import Any

import orjson

from broker import routing
from broker.accounts import Principal, Scope, access
from broker.billing.funds import Payer
from broker.clock import now_ms
from broker.completion import Json
from broker.enums import JobState
from broker.errors import InvalidRequestError, WaybillError
from broker.ids import new_job_id
from broker.jobs.privacy import choose_store
from broker.lifecycle import coalescing
from broker.money import usd
from broker.providers.endpoints import Endpoint
from broker.queues import REDISPATCH_MS, Lane, build_flow_name
from broker.requests.hints import find_unread_hints
from broker.requests.native import find_unread
from broker.requests.operations import STREAMED, is_streamed
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
from broker.submission.options import JobColumns, JobOptions, NewJob, PayloadColumns, Schedule
from broker.submission.quotes import Quotes, compute_quotes

SEED_BITS = 32
MAX_LABEL = 256

NOT_FINGERPRINTED = frozenset(
    {
        *(
            "idempotency_key",
            "session_id",
            "app",
            "origin",
            "store",
            "asked",
            "preset",
            "preset_prompt",
        ),
        *("dialect", "caller_body", "is_instructed", "streams"),
    }
)
"""Options that may differ between requests with the same idempotency key."""


def prepare(
    body: Json,
    options: JobOptions,
    principal: Principal,
    endpoints: Mapping[str, Sequence[Endpoint]],
    settings: Settings,
    context: RoutingContext = ORDINARY,
) -> NewJob:
    """Decide everything about a job; pure but for the clock and the id. Raises WaybillError."""
    now = now_ms()
    request = build_routing_request(body)
    plan = routing.plan(request, endpoints, _add_seed(context))
    plan = workspace_credentials.plan_credentials(plan, principal.own_keys)
    plan, quoted = _apply_max_cost(plan, _compute_quotes(body, options, plan, settings), options)
    native = native_batches.choose_columns(
        body,
        plan,
        time_left_ms=None if options.deadline is None else options.deadline - now,
        min_ms=int(settings.native_batch_min_deadline_seconds * 1000),
    )
    positions = (0, native.get("position", 0))
    hold = max(quoted.nanos[position] for position in positions)
    least = max(quoted.least[position] for position in positions)
    row = _build_row(body, options, principal, plan, settings, now, hold)
    if native:  # a job that leaves the native lane waits in a flow
        flow = build_flow_name(principal.workspace_id, options.batch_id, options.priority)
        row = {**row, **native, "line": flow}
    payload: PayloadColumns = {
        "job_id": row["id"],
        "request": orjson.dumps(body),
        "plan": routing.encode_plan(plan),
        "quotes": orjson.dumps(quoted.nanos).decode(),
        "caller_body": None if options.caller_body is None else orjson.dumps(options.caller_body),
        "extra": _encode_extra(body, options),
    }
    payer = Payer(
        principal.workspace_id, principal.api_key_id, principal.unlimited, principal.is_budgeted
    )
    shares = coalescing.compute_fingerprint(
        body, options.operation, requested=options.coalesce, bounds=access.bounds(principal)
    )
    return NewJob(
        row,
        payload,
        payer,
        quoted,
        least_nanos=least,
        is_free=_is_free(request, plan),
        unread=[
            *find_unread(body, plan[0].wire or ""),
            *find_unread_hints(body, plan[0].hints),
        ],
        shares=shares,
    )


def prepare_repeat(row: JobColumns, principal: Principal, refusal: WaybillError) -> NewJob:
    """Build a job from its stored row; its submission finds it by its key, or is refused."""
    payer = Payer(principal.workspace_id, principal.api_key_id, unlimited=True, budgeted=False)
    payload: PayloadColumns = {  # never inserted
        "job_id": row["id"],
        "request": b"",
        "plan": b"",
        "quotes": "[]",
        "caller_body": None,
        "extra": None,
    }
    return NewJob(row, payload, payer, Quotes((), ()), refusal=refusal)


def _is_free(request: RoutingRequest, plan: Plan) -> bool:
    """Return whether a job counts against the limits of free models."""
    names = [*request.models, *(plan[position].model for position in range(len(plan)))]
    return any(routing.names_free_model(name) for name in names)


def _encode_extra(body: Json, options: JobOptions) -> str | None:
    """Return the JSON of metadata, trace and origin that is stored with the job."""
    metadata = {**(body.get("metadata") or {}), **(options.extra.get("metadata") or {})}
    details = {"metadata": metadata, "trace": body.get("trace"), "origin": options.origin}
    details["preset"] = None if options.preset is None else {"slug": options.preset}
    details["preset_prompt"] = options.preset_prompt
    details["is_instructed"] = options.is_instructed
    extra = options.extra | {name: value for name, value in details.items() if value}
    return orjson.dumps(extra).decode() if extra else None


def _clean_label(value: Any) -> str | None:
    """Return a caller's label for storage: truncated, and without NUL, which PostgreSQL refuses."""
    return value.replace("\0", "")[:MAX_LABEL] or None if isinstance(value, str) else None


def build_routing_request(body: Json) -> RoutingRequest:
    """Build the routing request of a body. Raises InvalidRequestError that names the field."""
    models, needs = routing.requested_models(body), requirements.find_requirements(body)
    preferences = routing.read_preferences(body)
    if not any(name in routing.ROUTERS for name in models):
        return RoutingRequest(models, needs, preferences)
    choice = routing.read_auto_options(body, routing.classify(body, needs))
    return RoutingRequest(models, needs, preferences, choice)


def _add_seed(context: RoutingContext) -> RoutingContext:
    """Return the context with a random routing seed, unless it has one."""
    if context.seed:
        return context
    return replace(context, seed=getrandbits(SEED_BITS))


def _build_row(
    body: Json,
    options: JobOptions,
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
        "operation": options.operation.value,
        "dialect": options.dialect and options.dialect.value,
        "lane": options.lane.value,
        "model": plan[0].model,
        "provider": plan[0].provider,
        "stream": options.operation in STREAMED and (options.streams or is_streamed(body)),
        "position": 0,
        "attempt": 0,
        "attempts_used": 0,
        "tries_here": 0,
        "max_attempts": options.max_attempts or settings.default_max_attempts,
        "on_unknown": options.on_unknown.value,
        "cancel_requested": False,
        "hold_nanos": hold,
        "batch_id": options.batch_id,
        "priority": options.priority,
        "app": options.app,
        "end_user": _clean_label(body.get("user")),
        "session_id": _clean_label(body.get("session_id") or options.session_id),
        "line": _find_flow(options, principal.workspace_id),
        "webhook": options.webhook,
        "coalesced_with": None,
        "store": choose_store(body, options.store, principal.settings, settings.store),
        "idempotency_key": options.idempotency_key,
        "fingerprint": (
            compute_fingerprint(options.caller_body or options.asked or body, options, principal)
            if options.idempotency_key
            else None
        ),
        "created_at": now,
        **_build_schedule(options, now, settings),
    }


def _find_flow(options: JobOptions, workspace_id: str) -> str | None:
    """Return the flow in which a job waits; None for an interactive job."""
    if options.lane is Lane.INTERACTIVE:
        return None
    return build_flow_name(workspace_id, options.batch_id, options.priority)


def _compute_quotes(body: Json, options: JobOptions, plan: Plan, settings: Settings) -> Quotes:
    """Return the quotes of the job at each plan step."""
    return compute_quotes(
        body,
        options.operation,
        plan,
        likely=settings.likely_completion_tokens,
        most=settings.most_held_completion_tokens,
        fee=settings.byok_fee_percent,
    )


def _apply_max_cost(plan: Plan, quoted: Quotes, options: JobOptions) -> tuple[Plan, Quotes]:
    """Remove plan steps that cost more than `max_cost`. Raises InvalidRequestError if all do."""
    limit = options.max_cost_nanos
    if limit is None or max(quoted.least) <= limit:
        return plan, quoted
    remaining = [position for position, nanos in enumerate(quoted.least) if nanos <= limit]
    if remaining:
        return plan.select(remaining, "max_cost"), quoted.select(remaining)
    cost = f"{usd(min(quoted.least)):.6f} USD ({quoted.likely})"
    raise InvalidRequestError(
        f"This job may cost {cost}, more than its max_cost "
        f"of {usd(limit):.6f}: raise max_cost or lower max_tokens.",
        param="max_cost",
    )


def _build_schedule(options: JobOptions, now: int, settings: Settings) -> Schedule:
    """Decide when the job may run and when the dispatcher checks it.

    The submitter publishes an interactive job right after the commit; the dispatcher publishes it
    again if that was lost. The dispatcher publishes all other jobs.
    """
    deadline = options.deadline or now + int(settings.default_deadline_seconds * 1000)
    available = max(options.not_before or now, now)
    published = options.lane is Lane.INTERACTIVE and available <= now
    return {
        "state": (JobState.SCHEDULED if available > now else JobState.QUEUED).value,
        "available_at": available,
        "dispatch_at": min(now + REDISPATCH_MS if published else available, deadline),
        "deadline_at": deadline,
    }


def compute_fingerprint(body: Json, options: JobOptions, principal: Principal) -> str:
    """Return the digest of a request. An idempotency key cannot be used with another digest.

    Callers who see only their own jobs have different digests for the same request.
    """
    requested = {
        each.name: getattr(options, each.name)
        for each in fields(options)
        if each.name not in NOT_FINGERPRINTED
    }
    owner = principal.owner_filter(Scope.JOBS)
    if options.dialect is not None:  # the same body may be valid in several dialects
        requested["dialect"] = options.dialect
    details = [body, requested] if owner is None else [body, requested, owner]
    canonical = orjson.dumps(details, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()
