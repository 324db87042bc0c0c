"""How a job was routed, in OpenRouter's words: `openrouter_metadata` (its docs, "Router metadata").

Fields it has not are ours: `plan_strategy`, `seed`, `excluded`, `choice`.
"""

from typing import Any

import orjson

from broker import routing
from broker.completion import Json
from broker.jobs.reports import JobReport
from broker.routing import Plan


def metadata(report: JobReport) -> Json:
    """Return what happened to a job: who could have served it, who was asked, who did."""
    plan = routing.decode(report.payload.plan)
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
        "attempts": [_attempt(each) for each in report.attempts],
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
        "reason": plan.places[place].reason,
    }


def _attempt(row: Any) -> Json:
    ok = row.outcome == "ok"
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
    who = "nobody has answered yet" if served is None else f"{served[0]} served {served[1]}"
    why = f"; {plan.choice['why']}" if plan.choice else ""
    return f"{strategy}: {who}, of {len(plan)} endpoints in the plan{why}"
