"""Render a batch and its results in the form of Anthropic's Message Batches. Pure.

Source: platform.claude.com/docs/en/api/messages/batches.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from broker.batches.reports import BatchReport
from broker.batches.rows import BatchRow
from broker.completion import Json
from broker.enums import BatchState, JobState, StopReason
from broker.ids import message_batch_id

_CODES = {f"batch_{StopReason.EXPIRED.value}": "expired"}
"""Codes of lines that were not run → the type of the result; others are cancelled."""


def render_batch(
    report: BatchReport, states: Mapping[JobState | None, int], results_url: str
) -> Json:
    """Render a batch. `states` are the numbers of lines by job state (`reports.count_states`)."""
    row = report.row
    return {
        "id": message_batch_id(row.id),
        "type": "message_batch",
        "processing_status": _find_status(row),
        "request_counts": _count(report, states),
        "created_at": _time(row.created_at),
        "expires_at": _time(row.expires_at),
        "cancel_initiated_at": _time(row.cancelling_at),
        "ended_at": _time(row.ended_at),
        "archived_at": None,
        "results_url": None if row.ended_at is None else results_url,
        "cost": report.totals.cost_nanos / 1e9,
    }


def render_result(shown: Json) -> Json:
    """Render the result of a line, given in OpenAI's form (`results.result`)."""
    return {"custom_id": shown["custom_id"], "result": _render(shown)}


def _render(shown: Json) -> Json:
    response = shown["response"]
    if response is None:
        return {"type": _CODES.get(shown["error"]["code"], "canceled")}
    body = response["body"]
    if body["type"] != "error":
        return {"type": "succeeded", "message": body}
    return {"type": "errored", "error": body}


def _count(report: BatchReport, states: Mapping[JobState | None, int]) -> Json:
    row, totals = report.row, report.totals
    read = sum(states.values())
    canceled, expired = states.get(JobState.CANCELLED, 0), states.get(JobState.EXPIRED, 0)
    succeeded = states.get(JobState.COMPLETED, 0)
    failed = (JobState.FAILED, JobState.NEEDS_REVIEW, None)
    errored = sum(states.get(state, 0) for state in failed)
    if row.ended_at is not None and row.stop_reason is StopReason.EXPIRED:
        expired += totals.total - read
    elif row.ended_at is not None:
        canceled += totals.total - read
    done = succeeded + errored + canceled + expired
    return {
        "processing": totals.total - done,
        "succeeded": succeeded,
        "errored": errored,
        "canceled": canceled,
        "expired": expired,
    }


def _find_status(row: BatchRow) -> str:
    if row.ended_at is not None:
        return "ended"
    return "canceling" if row.state is BatchState.CANCELLING else "in_progress"


def _time(milliseconds: int | None) -> str | None:
    """Return a time in the form of RFC 3339."""
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat().replace("+00:00", "Z")
