"""The bodies for the caller: OpenRouter's response, chunk and usage."""

from collections.abc import Sequence
from typing import Any

from broker.completion import Chunk, Completion, Document, Json, Usage
from broker.ids import generation_id
from broker.lifecycle import ClaimedJob
from broker.money import usd
from broker.requests import operations
from broker.requests.operations import PICTURES, Operation
from broker.usage import render_usage
from broker.values import immutable
from workers.attempt.cost import AttemptCost
from workers.attempt.media_events import render_last_events


@immutable
class Envelope:
    """The fields that all bodies of one attempt share."""

    id: str
    created: int
    model: str
    provider: str
    operation: Operation

    @classmethod
    def of(cls, job: ClaimedJob) -> "Envelope":
        endpoint = job.endpoint
        return cls(
            generation_id(job.id),
            job.created_at // 1000,
            endpoint.model,
            endpoint.provider,
            job.operation,
        )

    def body(self, answer: Completion | Document, receipt: AttemptCost) -> Json:
        """Return the whole answer, as it is stored and sent to the caller."""
        if isinstance(answer, Document):
            return self._document(answer, receipt)
        is_text = self.operation is Operation.COMPLETIONS
        return {
            "id": self.id,
            "object": operations.chunk_object(self.operation) if is_text else "chat.completion",
            "created": self.created,
            "model": self.model,
            "provider": self.provider,
            "system_fingerprint": answer.system_fingerprint,
            **({"service_tier": answer.service_tier} if answer.service_tier else {}),
            "choices": [
                {"logprobs": None, **choice} for choice in self._choices(answer.choices, "message")
            ],  # OpenRouter's SDK cannot read a batch's result without `logprobs`
            "usage": usage_json(receipt),
        }

    def _document(self, answer: Document, receipt: AttemptCost) -> Json:
        facts = {
            "id": self.id,
            "created": self.created,
            "model": self.model,
            "provider": self.provider,
        }
        return facts | answer.body | {"usage": self._usage(receipt)}

    def _usage(self, receipt: AttemptCost) -> Json:
        return usage_json(receipt) | _openai_counts(receipt.usage, self.operation)

    def chunk(self, chunk: Chunk) -> Json:
        if chunk.event is not None:
            return chunk.event
        body = self._chunk(self._choices(chunk.choices, "delta"))
        if chunk.system_fingerprint:
            body["system_fingerprint"] = chunk.system_fingerprint
        return body

    def last_chunks(
        self, answer: Completion | Document, receipt: AttemptCost, *, apart: bool, shown: bool
    ) -> Sequence[Json]:
        """Return the chunks that end a stream, the last with the whole usage.

        `shown` means that the caller has received a part of the answer.
        """
        if isinstance(answer, Completion):
            return [self._usage_chunk(receipt, apart=apart, service_tier=answer.service_tier)]
        return render_last_events(
            self.operation, answer, self.created, self._usage(receipt), shown=shown
        )

    def _usage_chunk(
        self, receipt: AttemptCost, *, apart: bool, service_tier: str | None = None
    ) -> Json:
        """Return the last chunk of a stream, with the whole usage and the tier that served it.

        OpenAI sends it without choices, and only if the caller set `include_usage` (`apart`).
        OpenRouter sends it to all callers, with a choice that adds nothing, because other callers
        read `choices[0]` of each chunk.
        """
        choices = () if apart else (operations.empty_choice(self.operation),)
        tier = {"service_tier": service_tier} if service_tier else {}
        return self._chunk(choices) | tier | {"usage": usage_json(receipt)}

    def _choices(self, choices: Sequence[Json], part: str) -> Sequence[Json]:
        """Return choices in the form of the operation. Adapters return them as those of a chat."""
        if self.operation is Operation.CHAT:
            return choices
        return [_text_choice(choice, choice[part]) for choice in choices]

    def _chunk(self, choices: Any) -> Json:
        return {
            "id": self.id,
            "object": operations.chunk_object(self.operation),
            "created": self.created,
            "model": self.model,
            "provider": self.provider,
            "choices": choices,
        }


def _text_choice(choice: Json, message: Json) -> Json:
    return {
        "index": choice["index"],
        "text": message.get("content") or "",
        "logprobs": choice.get("logprobs"),
        "finish_reason": choice.get("finish_reason"),
        "native_finish_reason": choice.get("native_finish_reason"),
    }


def _openai_counts(usage: Usage, operation: Operation) -> Json:
    """Return the counts as OpenAI names them for images and sound.

    The types of its SDK require them (`images_response.Usage`, `transcription.UsageTokens`).
    """
    counts: Json = {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}
    if operation is Operation.SPEECH:
        return counts
    if operation in PICTURES:
        images = usage.input_image or 0
        details = {"text_tokens": usage.prompt_tokens - images, "image_tokens": images}
        return counts | {"input_tokens_details": details}
    if operation is Operation.TRANSCRIPTIONS:
        audio = usage.input_audio or 0
        details = {"text_tokens": usage.prompt_tokens - audio, "audio_tokens": audio}
        return counts | {"type": "tokens", "input_token_details": details}
    return {}


def usage_json(receipt: AttemptCost) -> Json:
    """Return the usage of an answer; `cost` is the charge to this caller, in US dollars."""
    usage, byok_cost = receipt.usage, receipt.byok_cost_nanos
    body = render_usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        cost_nanos=receipt.cost_nanos + receipt.ocr_nanos,
        is_byok=receipt.is_byok,
        upstream_cost_nanos=usage.cost_nanos if byok_cost is None else byok_cost,
        prompt_details={
            "cached_tokens": usage.cache_read or 0,
            "cache_write_tokens": usage.cache_write or 0,
            "audio_tokens": usage.input_audio or 0,
        },
        completion_details={
            "reasoning_tokens": usage.reasoning or 0,
            "audio_tokens": usage.output_audio or 0,
            "image_tokens": usage.output_image or 0,
        },
    )
    if receipt.search_nanos:
        body.setdefault("cost_details", {})["web_search_cost"] = usd(receipt.search_nanos)
    if receipt.ocr_nanos:
        body.setdefault("cost_details", {})["ocr_cost"] = usd(receipt.ocr_nanos)
    if usage.searches:
        body["server_tool_use"] = {"web_search_requests": usage.searches}
    if usage.estimated:
        body["estimated"] = True
    return body
