"""Shared types: requests to providers, their answers, usage and failures.

A request and an answer keep OpenAI's chat shape (the field's common tongue) as plain JSON objects;
what Waybill itself reasons about (usage, outcomes, failures) has types. Nothing here does anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from broker.values import immutable

Json: TypeAlias = dict[str, Any]
"""A JSON object as it was parsed."""


class ErrorType(StrEnum):
    """Why something failed: OpenRouter's `error_type` words, then those of Waybill's own refusals.

    docs/reference/errors.md explains each.
    """

    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    MAX_TOKENS_EXCEEDED = "max_tokens_exceeded"
    TOKEN_LIMIT_EXCEEDED = "token_limit_exceeded"  # noqa: S105  # an error's name
    STRING_TOO_LONG = "string_too_long"
    INVALID_REQUEST = "invalid_request"
    INVALID_PROMPT = "invalid_prompt"
    CONTENT_POLICY_VIOLATION = "content_policy_violation"
    REFUSAL = "refusal"
    INVALID_IMAGE = "invalid_image"
    IMAGE_TOO_LARGE = "image_too_large"
    IMAGE_TOO_SMALL = "image_too_small"
    UNSUPPORTED_IMAGE_FORMAT = "unsupported_image_format"
    IMAGE_DOWNLOAD_FAILED = "image_download_failed"
    AUTHENTICATION = "authentication"
    PAYMENT_REQUIRED = "payment_required"
    PERMISSION_DENIED = "permission_denied"
    NOT_FOUND = "not_found"
    IMAGE_NOT_FOUND = "image_not_found"
    PRECONDITION_FAILED = "precondition_failed"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNPROCESSABLE = "unprocessable"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    SERVER = "server"
    UNMAPPED = "unmapped"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_OVERLOADED = "provider_overloaded"
    TIMEOUT = "timeout"

    SERVICE_UNAVAILABLE = "service_unavailable"
    STORAGE_FULL = "storage_full"
    REQUEST_TIMEOUT = "request_timeout"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    GONE = "gone"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    BUDGET_EXCEEDED = "budget_exceeded"
    STILL_RUNNING = "still_running"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    CANCELLED = "cancelled"
    NEEDS_REVIEW = "needs_review"
    STREAM_INTERRUPTED = "stream_interrupted"
    WORKER_LOST = "worker_lost"


OWN_ERROR_TYPES = frozenset(
    {
        ErrorType.SERVICE_UNAVAILABLE,
        ErrorType.STORAGE_FULL,
        ErrorType.REQUEST_TIMEOUT,
        ErrorType.METHOD_NOT_ALLOWED,
        ErrorType.CONFLICT,
        ErrorType.GONE,
        ErrorType.UNSUPPORTED_ENCODING,
        ErrorType.IDEMPOTENCY_MISMATCH,
        ErrorType.BUDGET_EXCEEDED,
        ErrorType.STILL_RUNNING,
        ErrorType.DEADLINE_EXCEEDED,
        ErrorType.CANCELLED,
        ErrorType.NEEDS_REVIEW,
        ErrorType.STREAM_INTERRUPTED,
        ErrorType.WORKER_LOST,
    }
)
"""Types of Waybill's own errors; a provider's error never has one of these."""


class AttemptOutcome(StrEnum):
    """The outcome of an attempt: a closed set."""

    OK = "ok"
    REJECTED = "rejected"  # the provider answered with an error: normally unbilled
    NOT_SENT = "not_sent"  # the request never left: safe to send again
    UNKNOWN = "unknown"  # sent, then silence or a cut: perhaps billed upstream
    INTERRUPTED = "interrupted"  # our shutdown; costs the job no attempt
    CANCELLED = "cancelled"  # the caller cancelled it
    SKIPPED = "skipped"  # its endpoint's circuit was open: nothing was sent; costs no attempt


@immutable
class Usage:
    """The usage of one generation, in tokens unless noted. None: the provider did not state it.

    The wholes (`input`, `cache_read`, `cache_write`, `output`) never overlap, but for `cache_both`.
    """

    input: int | None = None  # fresh input tokens, cache reads and writes excluded
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None  # the part of `cache_write` that is kept for an hour
    cache_both: int | None = None  # written and read by one call: in both of these counts
    output: int | None = None  # all output tokens, reasoning included
    reasoning: int | None = None  # the part of `output` that was reasoning
    input_audio: int | None = None  # the part of `input` that was audio
    input_image: int | None = None  # the part of `input` that was pictures
    output_audio: int | None = None  # the part of `output` that was audio
    output_image: int | None = None  # the part of `output` that was pictures
    input_audio_ms: int | None = None  # length of the sound sent, where that is billed, not tokens
    input_pages: int | None = None  # pages of documents sent
    input_characters: int | None = None  # of a text to speak
    input_images: int | None = None  # pictures sent
    output_images: int | None = None  # pictures made
    searches: int | None = None  # web searches by the vendor itself, as the vendor bills them
    requests: int | None = None  # billed requests, where one call counts as several
    billed_input: int | None = None  # all that is billed of the input, where it is not all of it
    billed_output: int | None = None  # likewise of the output
    cost_nanos: int | None = None  # the provider's own charge in nano-dollars, where it states one
    estimated: bool = False  # counted by us because the provider sent none

    @property
    def prompt_tokens(self) -> int:
        """All input tokens, cached or not: OpenAI's `prompt_tokens`."""
        cached = (self.cache_read or 0) + (self.cache_write or 0) - (self.cache_both or 0)
        return (self.input or 0) + cached

    @property
    def completion_tokens(self) -> int:
        """All output tokens, reasoning included: OpenAI's `completion_tokens`."""
        return self.output or 0


@immutable
class CompletionRequest:
    """One request as an adapter receives it: a chat completion, or another operation."""

    body: Json  # OpenAI's body for the operation, validated; without our own routing fields
    model: str  # the provider's native model name
    stream: bool = False
    quirks: frozenset[str] = frozenset()  # the provider's, for the reader of the answer
    slug: str | None = None  # of the model; the native name may be a deployment's

    @property
    def known_name(self) -> str:
        """Return the name by which the model's abilities are known."""
        return self.slug or self.model


@immutable
class Completion:
    """A provider's whole answer in OpenAI's shape.

    `choices` are OpenAI choice objects (`index`, `message`, `finish_reason`,
    `native_finish_reason`, optional `logprobs`) with the finish reason normalised to stop |
    length | tool_calls | content_filter | error.
    """

    choices: Sequence[Json]
    usage: Usage | None = None
    upstream_id: str | None = None
    upstream_model: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None


@immutable
class BackgroundAnswer:
    """An answer that a provider makes without a connection, such as OpenAI's background response.

    It holds what an adapter needs to request the answer from another process.
    """

    id: str  # the provider's id of the answer
    url: str | None = None  # where the provider says that it can be fetched


@immutable
class Media:
    """Bytes that an answer refers to by id: an image, spoken audio."""

    id: str  # file_…
    media_type: str
    content: bytes


@immutable
class Document:
    """A provider's answer to anything but chat: OpenAI's body for that operation.

    `media` are the bytes that the body names by `file_id`; they go to the file store.
    """

    body: Json
    usage: Usage | None = None
    upstream_id: str | None = None
    upstream_model: str | None = None
    media: Sequence[Media] = ()


@immutable
class Chunk:
    """One step of a streamed answer in OpenAI's shape.

    `choices` hold `index`, `delta` and `finish_reason` (None until the last); usage comes once, in
    the last chunk, and is the provider's total, never a sum over chunks.
    """

    choices: Sequence[Json] = ()
    usage: Usage | None = None
    upstream_id: str | None = None
    upstream_model: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    event: Json | None = None  # of a document: a part of it, in OpenAI's shape


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt did not bring an answer."""

    outcome: AttemptOutcome
    error_type: ErrorType
    message: str
    http_status: int | None = None  # the status of the provider's answer
    provider_code: str | None = None  # the provider's error code
    retry_after: float | None = None  # seconds, from the provider's `Retry-After`
    raw: str | None = None  # the provider's body, cut and without secrets
    answered: bool = False  # a whole answer came that cannot be used: it is billed all the same
    usage: Usage | None = None  # the usage of such an answer


AttemptAnswer: TypeAlias = Completion | Document | Failure
"""The end of an attempt: an answer, or the reason why there is none."""


@immutable
class Timings:
    """Milliseconds from the request's sending; None where it never came to that."""

    first_token_ms: int | None = None
    duration_ms: int = 0
