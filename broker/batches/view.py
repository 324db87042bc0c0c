"""Render a batch: OpenAI's object, OpenRouter's usage, and Waybill's own fields."""

import orjson

from broker.batches.options import DIALECT_PATHS
from broker.batches.reports import BatchReport, BatchTotals
from broker.batches.rows import BatchRow
from broker.clock import seconds
from broker.completion import Json
from broker.enums import BatchState
from broker.money import usd
from broker.usage import render_usage

ENDED_AT = {
    BatchState.COMPLETED: "completed_at",
    BatchState.FAILED: "failed_at",
    BatchState.EXPIRED: "expired_at",
    BatchState.CANCELLED: "cancelled_at",
}


def batch(report: BatchReport) -> Json:
    """Render a batch for GET /batches/{id}. Times are Unix seconds, money US dollars."""
    row, totals = report.row, report.totals
    options = orjson.loads(row.options)
    return {
        "id": row.id,
        "object": "batch",
        "endpoint": _find_path(row),
        "model": options["model"] or "",  # lines may name their own; clients need a text
        "provider": None,  # each line has its own route
        "errors": _errors(row),
        "input_file_id": row.input_file_id,
        "completion_window": row.completion_window,
        "status": row.state,
        "output_file_id": row.output_file_id,
        "error_file_id": row.error_file_id,
        "created_at": seconds(row.created_at),
        "in_progress_at": seconds(row.in_progress_at),
        "expires_at": seconds(row.expires_at),
        "finalizing_at": seconds(row.finalizing_at),
        "cancelling_at": seconds(row.cancelling_at),
        **{name: seconds(row.ended_at) if row.state == state else None
           for state, name in ENDED_AT.items()},
        "finalized_at": seconds(row.ended_at),
        "request_counts": {
            "total": totals.total,
            "completed": totals.completed,
            "failed": totals.failed,
            "running": totals.running,
        },
        "usage": usage(totals),
        "metadata": options["metadata"],
        "priority": row.priority,
        "max_concurrency": row.max_concurrency,
        "max_cost": None if row.max_cost_nanos is None else usd(row.max_cost_nanos),
        "on_error": options["on_error"],
        "dedupe": options["dedupe"],
        "service_tier": options["service_tier"],
        "stop_reason": row.stop_reason,
        "waits_for": row.waits_for,
        "retry_of": row.retry_of,
        "results": None,
        "error": _error(row),
    }  # fmt: skip


def _find_path(row: BatchRow) -> str:
    paths = (path for path, dialect in DIALECT_PATHS.items() if dialect is row.dialect)
    return next(paths, row.endpoint.value)


def usage(totals: BatchTotals) -> Json:
    """Render the sums of the lines' tokens and costs, by OpenAI's names and OpenRouter's.

    `is_byok` is true if a line was answered with the workspace's own credential.
    """
    is_byok = totals.own_key_answers > 0
    return {
        "input_tokens": totals.input_tokens,
        "input_tokens_details": {"cached_tokens": totals.cached_tokens},
        "output_tokens": totals.output_tokens,
        "output_tokens_details": {"reasoning_tokens": totals.reasoning_tokens},
        **render_usage(
            totals.input_tokens,
            totals.output_tokens,
            cost_nanos=totals.cost_nanos,
            is_byok=is_byok,
            upstream_cost_nanos=totals.byok_cost_nanos if is_byok else None,
        ),
    }


def _errors(row: BatchRow) -> Json | None:
    if row.errors is None:
        return None
    return {"object": "list", "data": orjson.loads(row.errors)}


def _error(row: BatchRow) -> Json | None:
    """Return OpenRouter's single error: the first of OpenAI's list."""
    if row.errors is None:
        return None
    first = orjson.loads(row.errors)[0]
    return {"code": first["code"], "message": first["message"]}
