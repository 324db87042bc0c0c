"""Says what an attempt costs that brought no usable answer. Pure.

Whoever ends a call pays for what its provider has done by then: reasoning is billed, shown or not.
The provider's own statement counts if there is one. Without it a call that may have worked unseen
costs what was held for it; any other costs an estimate of what was shown, never more than was held.
"""

from broker.completion import AttemptOutcome, Completion, Document, ErrorType, Failure, Json
from broker.lifecycle import ClaimedJob
from broker.parameters import known
from workers.attempt.cost import AttemptCost
from workers.attempt.endpoint_stats import was_cut_by_deadline
from workers.attempt.job_run import JobRun
from workers.attempt.usage_counts import completed_usage


def may_hide(job: ClaimedJob) -> bool:
    """Tell whether its provider may do more for this call than its caller sees coming."""
    supported = job.endpoint.supported_parameters
    reasons = supported is None or "reasoning" in known(supported)
    return reasons or job.endpoint.price.reasoning is not None or not job.stream


def bill_unanswered(run: JobRun, failure: Failure, fee: str) -> Json | None:
    """Return the generation that is paid for such an attempt, or None where it costs nothing."""
    if failure.answered and failure.usage is not None:
        return _stated(run, Completion(choices=(), usage=failure.usage), fee)
    if failure.outcome is AttemptOutcome.CANCELLED or was_cut_by_deadline(run, failure):
        return _ended_by_caller(run, fee)
    if run.story.shown and failure.error_type is not ErrorType.WORKER_LOST:
        return _shown(run, fee)
    return None


def _ended_by_caller(run: JobRun, fee: str) -> Json | None:
    """Bill a call that a cancellation or the job's own deadline ended."""
    last = run.last
    if isinstance(last, Completion | Document):
        return _stated(run, last, fee)
    if isinstance(last, Failure):  # it would have failed anyhow
        if last.answered and last.usage is not None:
            return _stated(run, Completion(choices=(), usage=last.usage), fee)
        return _shown(run, fee) if run.story.shown else None
    if not run.watch.sent or (run.job.stream and not run.watch.answered):
        return None
    is_counted = run.heard is not None and run.heard.is_counted
    if may_hide(run.job) and not is_counted:
        return _shown(run, fee) | {"cost_nanos": run.job.hold_nanos, "usage_estimated": True}
    return _shown(run, fee)


def _stated(run: JobRun, answer: Completion | Document, fee: str) -> Json:
    return AttemptCost.of(run.job, run.request, answer, fee=fee).generation(
        run.job, answer, run.timings
    )


def _shown(run: JobRun, fee: str) -> Json:
    """Bill what came; an estimate of ours is no reason to pass a limit."""
    part = Completion(choices=()) if run.heard is None else run.heard.completion()
    answer = completed_usage(run.request, part)
    receipt = AttemptCost.of(run.job, run.request, answer, fee=fee)
    generation = receipt.generation(run.job, answer, run.timings)
    if receipt.usage.estimated:
        generation["cost_nanos"] = min(generation["cost_nanos"], run.job.hold_nanos)
    return generation
