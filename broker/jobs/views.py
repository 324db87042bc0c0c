"""A job as its owner sees it: in GET /jobs/{id}, in webhooks, and as `openrouter_metadata`."""

from collections.abc import Mapping

import orjson

from broker import routing
from broker.clock import seconds
from broker.completion import AttemptOutcome, Json
from broker.enums import Dialect, DialectPath, JobState, Store
from broker.ids import generation_id
from broker.jobs.reports import JobReport
from broker.jobs.rows import JobAttemptRow, JobRow
from broker.money import usd
from broker.pricing import render_prices
from broker.routing import Plan, PlanStep
from broker.usage import render_usage

DIALECT_PATHS: Mapping[Dialect, DialectPath] = {
    Dialect.RESPONSES: "/v1/responses",
    Dialect.MESSAGES: "/v1/messages",
}


def job(report: JobReport) -> Json:
    """Render a job for GET /jobs/{id}."""
    row, payload = report.job, report.payload
    extra = orjson.loads(payload.extra) if payload.extra else {}
    body = job_summary(row) | {
        "queue_position": report.queue_position,
        "usage": _usage(report),
        "attempts": [_attempt(attempt, report) for attempt in report.attempts],
        **plan(routing.decode_plan(payload.plan)),
        "metadata": extra.get("metadata") or {},
        "coalesced_with": row.coalesced_with if row.coalesced_with != row.id else None,
    }
    if report.generation is not None:
        body["generation_id"] = generation_id(row.id)
    body["response"] = None if payload.response is None else orjson.Fragment(payload.response)
    return {"error": None} | body


def plan(planned: Plan) -> Json:
    """Render the plan of a job: its steps, and the providers left out; prices per token."""
    return {
        "plan": [_place(each) for each in planned.steps],
        "routing": {
            "strategy": planned.strategy,
            "seed": planned.seed,
            "excluded": [
                {
                    "provider": each.provider,
                    "model": each.model,
                    "excluded_by": each.code,
                    "detail": each.detail,
                }
                for each in planned.excluded
            ],
            "notes": list(planned.notes),
            "choice": planned.choice,
        },
    }


def _place(planned: PlanStep) -> Json:
    endpoint = planned.endpoint
    return {
        "is_byok": endpoint.is_byok,
        "provider": endpoint.provider,
        "model": endpoint.model,
        "native_model": endpoint.native,
        "reason": planned.reason,
        "pricing": render_prices(endpoint.price),
    }


def job_summary(row: JobRow) -> Json:
    """Render a job for lists, without bodies."""
    body: Json = {
        "id": row.id,
        "object": "job",
        "status": row.state,
        "endpoint": row.operation if row.dialect is None else DIALECT_PATHS[row.dialect],
        "model": row.model,
        "provider": row.provider,
        "lane": row.lane,
        "priority": row.priority,
        "stream": row.stream,
        "created_at": seconds(row.created_at),
        "available_at": seconds(row.available_at),
        "deadline": seconds(row.deadline_at),
        "started_at": seconds(row.started_at),
        "ended_at": seconds(row.ended_at),
        "attempt": row.attempt,
        "max_attempts": row.max_attempts,
        "on_unknown": row.on_unknown,
        "store": row.store or Store.FULL.value,
        "kept": row.kept,
        "urls": job_urls(row.id),
    }
    if row.error is not None:
        body["error"] = orjson.Fragment(row.error)
    if row.waiting_for is not None and row.state is JobState.QUEUED:
        body["waiting_for"] = _waiting_for(row.waiting_for)
    return body


def _waiting_for(stored: str) -> Json:
    """Render the reason for which a job waits, and until when (Unix seconds)."""
    reason: Json = orjson.loads(stored)
    return reason | {"until": seconds(reason["until"])}


def job_urls(job_id: str) -> Json:
    base = f"/api/v1/jobs/{job_id}"
    return {"self": base, "events": f"{base}/events", "cancel": f"{base}/cancel"}


def _attempt(row: JobAttemptRow, report: JobReport) -> Json:
    generation = report.generation
    paid = generation is not None and generation.attempt == row.number
    return {
        "number": row.number,
        "provider": row.provider,
        "model": row.model,
        "credential_id": row.credential_id,
        "outcome": row.outcome,
        "http_status": row.http_status,
        "error_type": row.error_type,
        "error_message": row.error_message,
        "worker": row.worker,
        "started_at": seconds(row.started_at),
        "queued_ms": row.queued_ms,
        "first_token_ms": row.first_token_ms,
        "duration_ms": row.duration_ms,
        "cost": usd(generation.cost_nanos) if generation is not None and paid else 0.0,
    }


def _usage(report: JobReport) -> Json | None:
    generation = report.generation
    if generation is None:
        return None
    read, write = generation.cache_read_tokens or 0, generation.cache_write_tokens or 0
    prompt = (generation.input_tokens or 0) + read + write
    rendered = render_usage(
        prompt,
        generation.output_tokens or 0,
        cost_nanos=generation.cost_nanos,
        is_byok=generation.is_byok,
        upstream_cost_nanos=generation.byok_cost_nanos if generation.is_byok else None,
        prompt_details={"cached_tokens": read, "cache_write_tokens": write},
        completion_details={"reasoning_tokens": generation.reasoning_tokens or 0},
    )
    if ocr_nanos := report.job.ocr_nanos:
        rendered.setdefault("cost_details", {})["ocr_cost"] = usd(ocr_nanos)
    return rendered | _basis(report)


def _basis(report: JobReport) -> Json:
    """Say what a call without an answer is charged by: a count, an estimate, the hold."""
    made, job = report.generation, report.job
    if made is None or job.state is JobState.COMPLETED:
        return {}
    if not made.usage_estimated:
        return {"cost_basis": "provider"}
    return {"cost_basis": "estimate" if made.cost_nanos < job.hold_nanos else "hold"}


def router_metadata(report: JobReport) -> Json:
    """Return what happened to a job: who could have served it, who was asked, who did."""
    plan = routing.decode_plan(report.payload.plan)
    requested = plan[0].model
    if report.payload.request:  # else it is no longer kept
        requested = routing.requested_models(orjson.loads(report.payload.request))[0]
    last = report.attempts[-1] if report.attempts else None
    served = (last.provider, last.model) if report.generation is not None and last else None
    strategy = _strategy(requested, plan, served)
    return {
        "requested": requested,
        "strategy": strategy,
        "region": None,
        "summary": _summary(strategy, plan, served),
        "attempt": len(report.attempts),
        "is_byok": report.generation is not None and report.generation.is_byok,
        "generation_time": None if report.generation is None else report.generation.duration_ms,
        "endpoints": {
            "total": len(plan) + len(plan.excluded),
            "available": [_available(plan, place, served) for place in range(len(plan))],
        },
        "attempts": [_routed_attempt(each) for each in report.attempts],
        "params": {},
        "pipeline": [],
        "plan_strategy": plan.strategy,
        "seed": plan.seed,
        "excluded": [
            {"provider": each.provider, "model": each.model, "excluded_by": each.code}
            for each in plan.excluded
        ],
        "choice": plan.choice,
    }


def _available(plan: Plan, place: int, served: tuple[str, str] | None) -> Json:
    endpoint = plan[place]
    return {
        "provider": endpoint.provider,
        "model": endpoint.model,
        "selected": endpoint.key == served,
        "reason": plan.steps[place].reason,
    }


def _routed_attempt(row: JobAttemptRow) -> Json:
    ok = row.outcome is AttemptOutcome.OK
    return {
        "provider": row.provider,
        "model": row.model,
        "status": row.http_status or (200 if ok else None),
        "outcome": row.outcome,
    }


def _strategy(requested: str, plan: Plan, served: tuple[str, str] | None) -> str:
    if plan.choice is not None:
        return str(plan.choice["router"]).removesuffix("-code")
    if served is not None and served[1] != plan[0].model:
        return "fallback"
    if requested.startswith("~"):
        return "latest"
    return "direct" if requested.partition(":")[0] == plan[0].model.partition(":")[0] else "alias"


def _summary(strategy: str, plan: Plan, served: tuple[str, str] | None) -> str:
    served_by = "nobody has answered yet" if served is None else f"{served[0]} served {served[1]}"
    choice = f"; {plan.choice['why']}" if plan.choice else ""
    return f"{strategy}: {served_by}, of {len(plan)} endpoints in the plan{choice}"
