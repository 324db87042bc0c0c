"""What an answer consumed and cost: usage (the provider's or an estimate), price, row."""

from dataclasses import dataclass, replace

from broker import pricing
from broker.clock import now_ms
from broker.completion import Completion, CompletionRequest, Document, Json, Timings, Usage
from broker.ids import generation_id
from broker.lifecycle import ClaimedJob
from broker.native_lane import in_batch
from broker.needs import media_parts
from workers.assembly import TEXTS

MOST_TOKENS = 1_000_000_000
PICTURES = ("image_url", "image")  # content parts


@dataclass(frozen=True, slots=True)
class Receipt:
    """Usage and cost of one answer."""

    usage: Usage
    cost_nanos: int  # what we charge
    byok_cost_nanos: int | None = None  # what the provider charges the caller's own key

    @classmethod
    def of(
        cls,
        job: ClaimedJob,
        request: CompletionRequest,
        answer: Completion | Document,
        *,
        batched: bool = False,
        fee: str = "0",
    ) -> "Receipt":
        """Return what the answer costs; `batched` says that it came out of a provider's batch.

        `fee` is our part, in per cent, of what is charged to a caller's own key.
        """
        usage = answer.usage
        if usage is None or not _is_credible(usage) or _counts_nothing(usage, answer):
            usage = _estimate(request, answer)
        price = in_batch(job.endpoint.price) if batched else job.endpoint.price
        if price.image or price.image_output or price.characters:
            usage = _with_pieces(usage, request, answer)
        if isinstance(answer, Completion):
            cost = pricing.charge(price, usage, answer, batch=batched)
        else:
            cost = pricing.cost(price, usage, batch=batched)
        if job.endpoint.is_byok:
            return cls(usage, pricing.byok_fee(cost, fee), cost)
        return cls(usage, cost)

    @property
    def is_byok(self) -> bool:
        return self.byok_cost_nanos is not None

    def generation(self, job: ClaimedJob, answer: Completion | Document, timings: Timings) -> Json:
        """Return the columns of the job's row in `generations`."""
        usage = self.usage
        choices = answer.choices if isinstance(answer, Completion) else ()
        first = choices[0] if choices else {}
        return {
            "id": generation_id(job.id),
            "job_id": job.id,
            "workspace_id": job.workspace_id,
            "attempt": job.attempt,
            "provider": job.endpoint.provider,
            "model": job.endpoint.model,
            "upstream_id": answer.upstream_id,
            "streamed": job.stream,
            "finish_reason": first.get("finish_reason"),
            "native_finish_reason": first.get("native_finish_reason"),
            "input_tokens": usage.input,
            "cache_read_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
            "output_tokens": usage.output,
            "reasoning_tokens": usage.reasoning,
            "usage_estimated": usage.estimated,
            "cost_nanos": self.cost_nanos,
            "is_byok": self.is_byok,
            "byok_cost_nanos": self.byok_cost_nanos or 0,
            "first_token_ms": timings.first_token_ms,
            "duration_ms": timings.duration_ms,
            "created_at": now_ms(),
        }


def _with_pieces(usage: Usage, request: CompletionRequest, answer: Completion | Document) -> Usage:
    """Count what has a price by the piece: pictures sent and made, characters to speak."""
    sent = sum(part["type"] in PICTURES for part in media_parts(request.body))
    if isinstance(answer, Document):
        made = sum(each.media_type.startswith("image/") for each in answer.media)
    else:
        made = sum(len(choice["message"].get("images") or ()) for choice in answer.choices)
    spoken = request.body.get("input")
    return replace(
        usage,
        input_images=sent,
        output_images=made,
        input_characters=len(spoken) if isinstance(spoken, str) else 0,
    )


def _is_credible(usage: Usage) -> bool:
    """Tell counts that could be from those that no model can have made."""
    counts = (
        *(usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning),
        *(usage.billed_input, usage.billed_output),
    )
    return all(count is None or 0 <= count <= MOST_TOKENS for count in counts)


def _counts_nothing(usage: Usage, answer: Completion | Document) -> bool:
    """Tell the zeros of a provider that does not count from those of an empty answer."""
    counts = (usage.input, usage.cache_read, usage.cache_write, usage.output)
    is_zero = not any(counts) and not usage.cost_nanos
    return is_zero and _characters_of(answer) > 0


def completed_usage(request: CompletionRequest, part: Completion) -> Completion:
    """Return part of an answer with the output that its provider had not counted yet.

    A provider states the input at the beginning of a stream, and the output at its end.
    """
    if part.usage is None:
        return part
    written = _estimate(request, part).output or 0
    if written <= (part.usage.output or 0):
        return part
    return replace(part, usage=replace(part.usage, output=written, estimated=True))


def _estimate(request: CompletionRequest, answer: Completion | Document) -> Usage:
    """Count what the provider did not: about four characters a token."""
    return Usage(
        input=pricing.estimate_input_tokens(request.body),
        output=_characters_of(answer) // pricing.CHARACTERS_PER_TOKEN,
        estimated=True,
    )


def _characters_of(answer: Completion | Document) -> int:
    choices = answer.choices if isinstance(answer, Completion) else ()
    return sum(_characters(choice["message"]) for choice in choices)


def _characters(message: Json) -> int:
    """Count what a message says; a tool call is written by the model, too."""
    texts = [message.get(name) for name in TEXTS]
    for call in message.get("tool_calls") or ():
        texts += (call.get("function") or call.get("custom") or {}).values()
    texts.append((message.get("audio") or {}).get("transcript"))
    return sum(len(text) for text in texts if isinstance(text, str))
