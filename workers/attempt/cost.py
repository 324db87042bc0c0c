"""Usage and cost of an attempt, with or without a usable answer."""

import structlog

from broker import pricing
from broker.clock import now_ms
from broker.completion import (
    AttemptOutcome,
    Completion,
    CompletionRequest,
    Document,
    ErrorType,
    Failure,
    Timings,
    Usage,
)
from broker.ids import generation_id
from broker.lifecycle import ClaimedJob
from broker.money import usd_text
from broker.requests.operations import TEXTS
from broker.requests.parameters import normalize
from broker.routing.native_batches import apply_batch_discount
from broker.usage import GenerationRow
from broker.values import immutable
from workers.attempt.endpoint_stats import was_cut_by_deadline
from workers.attempt.job_run import JobRun
from workers.attempt.usage_counts import (
    MOST_NANOS,
    completed_usage,
    counts_nothing,
    credible,
    estimate,
    find_picture_kind,
    with_pieces,
)

DEVIATION_SHARE = 100  # 1 %
DEVIATION_NANOS = 1_000  # providers round the charges that they state

log = structlog.get_logger()


@immutable
class AttemptCost:
    """Usage and cost of one answer."""

    usage: Usage
    cost_nanos: int  # the charge to the caller
    byok_cost_nanos: int | None = None  # the provider's charge to a workspace credential
    search_nanos: int = 0  # the part of the cost for web searches of the vendor
    deviates: bool = False  # the provider states a different charge
    ocr_nanos: int = 0  # charged for OCR besides the cost; `lifecycle` adds it to the generation

    @classmethod
    def of(
        cls,
        job: ClaimedJob,
        request: CompletionRequest,
        answer: Completion | Document,
        *,
        batched: bool = False,
        fee: str = "0",
    ) -> "AttemptCost":
        """Return the cost of an answer. `batched` means that it is from a native batch.

        `fee` is our share, in per cent, of the charge to a workspace credential. The service tier
        of the answer decides, not the requested one.
        """
        usage = credible(answer.usage)
        if usage is None or counts_nothing(usage, answer):
            usage = estimate(request, answer)
        price = job.endpoint.price.of_picture(*find_picture_kind(request, answer))
        tier = answer.service_tier if isinstance(answer, Completion) else None
        if batched or tier == pricing.BATCH_TIER:
            price, tier = apply_batch_discount(price), pricing.BATCH_TIER
        usage = with_pieces(usage, request, answer, price)
        if isinstance(answer, Completion):
            cost = pricing.charge(price, usage, answer, tier=tier)
        else:
            cost = pricing.cost(price, usage, tier=tier)
        cost = min(cost, MOST_NANOS)
        deviates = not price.as_stated and _deviates(job, cost, usage.cost_nanos)
        searches = min(pricing.search_cost(price, usage), cost)
        if job.endpoint.is_byok:
            fee_nanos = pricing.byok_fee(cost, fee)
            return cls(usage, fee_nanos, cost, searches, deviates, job.ocr_nanos)
        return cls(usage, cost, None, searches, deviates, job.ocr_nanos)

    @property
    def is_byok(self) -> bool:
        return self.byok_cost_nanos is not None

    def generation(
        self, job: ClaimedJob, answer: Completion | Document, timings: Timings
    ) -> GenerationRow:
        """Return the generation of the job."""
        usage = self.usage
        choices = answer.choices if isinstance(answer, Completion) else ()
        first = choices[0] if choices else {}
        return GenerationRow(
            id=generation_id(job.id),
            job_id=job.id,
            workspace_id=job.workspace_id,
            attempt=job.attempt,
            provider=job.endpoint.provider,
            model=job.endpoint.model,
            upstream_id=answer.upstream_id,
            streamed=job.stream,
            finish_reason=first.get("finish_reason"),
            native_finish_reason=first.get("native_finish_reason"),
            input_tokens=usage.input,
            cache_read_tokens=usage.cache_read,
            cache_write_tokens=usage.cache_write,
            output_tokens=usage.output,
            reasoning_tokens=usage.reasoning,
            usage_estimated=usage.estimated,
            cost_nanos=self.cost_nanos,
            is_byok=self.is_byok,
            byok_cost_nanos=self.byok_cost_nanos or 0,
            first_token_ms=timings.first_token_ms,
            duration_ms=timings.duration_ms,
            created_at=now_ms(),
        )


def _deviates(job: ClaimedJob, computed: int, stated: int | None) -> bool:
    """Return whether the provider states another cost; a difference above 1 % is logged."""
    if stated is None or not computed:  # an empty answer costs nothing here
        return False
    allowed = max(max(computed, stated) // DEVIATION_SHARE, DEVIATION_NANOS)
    if abs(computed - stated) <= allowed:
        return False
    log.warning(
        "cost.deviates",
        job=job.id,
        provider=job.endpoint.provider,
        model=job.endpoint.model,
        computed_usd=usd_text(computed),
        stated_usd=usd_text(stated),
    )
    return True


def may_hide(job: ClaimedJob) -> bool:
    """Return whether the provider may bill what the caller does not receive.

    A part of an image or of speech is not counted, and is billed as the whole.
    """
    if job.operation not in TEXTS:
        return True
    supported = job.endpoint.supported_parameters
    reasons = supported is None or "reasoning" in normalize(supported)
    return reasons or job.endpoint.price.reasoning is not None or not job.stream


def bill_unanswered(run: JobRun, failure: Failure, fee: str) -> GenerationRow | None:
    """Return the generation that an attempt without an answer costs, or None if it is free."""
    if failure.answered and failure.usage is not None:
        return _stated(run, Completion(choices=(), usage=failure.usage), fee)
    if failure.outcome is AttemptOutcome.CANCELLED or was_cut_by_deadline(run, failure):
        return _ended_by_caller(run, fee)
    if run.events.shown and failure.error_type is not ErrorType.WORKER_LOST:
        return _shown(run, fee)
    return None


def _ended_by_caller(run: JobRun, fee: str) -> GenerationRow | None:
    """Return the generation of a call that a cancellation or the job's deadline ended."""
    last = run.last
    if isinstance(last, Completion | Document):
        return _stated(run, last, fee)
    if isinstance(last, Failure):  # it would have failed without the cancellation, too
        if last.answered and last.usage is not None:
            return _stated(run, Completion(choices=(), usage=last.usage), fee)
        return _shown(run, fee) if run.events.shown else None
    if not run.watch.sent or (run.job.stream and not run.watch.answered):
        return None
    is_counted = run.assembly is not None and run.assembly.is_counted
    if may_hide(run.job) and not is_counted:
        return _shown(run, fee)._replace(cost_nanos=run.job.hold_nanos, usage_estimated=True)
    return _shown(run, fee)


def _stated(run: JobRun, answer: Completion | Document, fee: str) -> GenerationRow:
    return AttemptCost.of(run.job, run.request, answer, fee=fee).generation(
        run.job, answer, run.timings
    )


def _shown(run: JobRun, fee: str) -> GenerationRow:
    """Return the generation of the received part. An estimated cost is at most the hold."""
    part = Completion(choices=()) if run.assembly is None else run.assembly.completion()
    answer = completed_usage(run.request, part)
    receipt = AttemptCost.of(run.job, run.request, answer, fee=fee)
    generation = receipt.generation(run.job, answer, run.timings)
    if receipt.usage.estimated:
        cost = min(generation.cost_nanos, run.job.hold_nanos)
        return generation._replace(cost_nanos=cost)
    return generation
