"""The bodies a caller sees, made from what a provider said: OpenRouter's response, chunk and usage.

Shapes: openrouter.ai/docs/api-reference/chat-completion (response, streaming, usage accounting).
"""

from dataclasses import dataclass
from typing import Any

from broker.completion import Chunk, Completion, Json, Usage
from broker.ids import generation_id
from broker.lifecycle import ClaimedJob
from broker.money import usd


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all bodies of one attempt have in common."""

    id: str
    created: int
    model: str
    provider: str

    @classmethod
    def of(cls, job: ClaimedJob) -> "Envelope":
        endpoint = job.endpoint
        return cls(generation_id(job.id), job.created_at // 1000, endpoint.model, endpoint.provider)

    def response(self, completion: Completion, usage: Usage, cost_nanos: int) -> Json:
        return {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "provider": self.provider,
            "system_fingerprint": completion.system_fingerprint,
            **({"service_tier": completion.service_tier} if completion.service_tier else {}),
            "choices": completion.choices,
            "usage": usage_json(usage, cost_nanos),
        }

    def chunk(self, chunk: Chunk) -> Json:
        body = self._chunk(chunk.choices)
        if chunk.system_fingerprint:
            body["system_fingerprint"] = chunk.system_fingerprint
        return body

    def usage_chunk(self, usage: Usage, cost_nanos: int) -> Json:
        """The last chunk of a stream: no choices, the whole usage."""
        return self._chunk(()) | {"usage": usage_json(usage, cost_nanos)}

    def _chunk(self, choices: Any) -> Json:
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "provider": self.provider,
            "choices": choices,
        }


def usage_json(usage: Usage, cost_nanos: int) -> Json:
    """Usage in OpenRouter's shape; `cost` is what this caller is charged, in US dollars."""
    body: Json = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "cost": usd(cost_nanos),
        "is_byok": False,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read or 0,
            "cache_write_tokens": usage.cache_write or 0,
            "audio_tokens": usage.input_audio or 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning or 0,
            "audio_tokens": usage.output_audio or 0,
            "image_tokens": usage.output_image or 0,
        },
    }
    if usage.cost_nanos is not None:
        body["cost_details"] = {"upstream_inference_cost": usd(usage.cost_nanos)}
    if usage.estimated:
        body["estimated"] = True
    return body
