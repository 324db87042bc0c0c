"""Answers of calls, as the OpenAPI document describes them: OpenAI's objects, OpenRouter's fields.

Providers may add fields of their own.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api.jobs.response_schemas import JobPlanStep, JobRouting


class _Open(BaseModel):
    """An answer that may have more fields."""

    model_config = ConfigDict(extra="allow")


class ChatAnswer(_Open):
    """The message of the assistant."""

    role: str = Field(description="`assistant`.")
    content: str | None = Field(None, description="The text of the answer.")
    refusal: str | None = Field(None, description="Why the model refused.")
    reasoning: str | None = Field(None, description="The reasoning, as far as it is shown.")
    tool_calls: list[dict[str, Any]] | None = Field(None, description="The tools to call.")


class ChatChoice(_Open):
    """One of the answers of a completion."""

    index: int = Field(description="The position of the answer, from 0.")
    message: ChatAnswer = Field(description="The answer.")
    finish_reason: str | None = Field(
        description="`stop`, `length`, `tool_calls`, `content_filter` or `error`."
    )
    native_finish_reason: str | None = Field(None, description="The provider's own reason.")
    logprobs: dict[str, Any] | None = Field(None, description="Log probabilities of the tokens.")


class CompletionUsage(_Open):
    """Tokens and cost of a completion."""

    prompt_tokens: int = Field(description="Tokens of the prompt, cached ones included.")
    completion_tokens: int = Field(description="Tokens of the answer.")
    total_tokens: int = Field(description="The sum of both.")
    cost: float | None = Field(None, description="The cost in US dollars.")
    is_byok: bool = Field(False, description="Whether a provider key of the workspace was used.")


class ChatCompletion(_Open):
    """A chat completion."""

    id: str = Field(description="The id of the generation (`gen-…`).")
    object: str = Field(description="`chat.completion`.")
    created: int = Field(description="The time of the request, in Unix seconds.")
    model: str = Field(description="The slug of the model that answered.")
    provider: str | None = Field(None, description="The provider that answered.")
    system_fingerprint: str | None = Field(None, description="The provider's configuration.")
    choices: list[ChatChoice] = Field(description="The answers.")
    usage: CompletionUsage | None = Field(None, description="The usage of the call.")


class TextChoice(_Open):
    """One of the continuations of a text."""

    index: int = Field(description="The position of the continuation, from 0.")
    text: str = Field(description="The continuation.")
    finish_reason: str | None = Field(description="`stop`, `length`, `content_filter` or `error`.")
    native_finish_reason: str | None = Field(None, description="The provider's own reason.")
    logprobs: dict[str, Any] | None = Field(None, description="Log probabilities of the tokens.")


class TextCompletion(_Open):
    """A continued text."""

    id: str = Field(description="The id of the generation (`gen-…`).")
    object: str = Field(description="`text_completion`.")
    created: int = Field(description="The time of the request, in Unix seconds.")
    model: str = Field(description="The slug of the model that answered.")
    provider: str | None = Field(None, description="The provider that answered.")
    system_fingerprint: str | None = Field(None, description="The provider's configuration.")
    choices: list[TextChoice] = Field(description="The continuations.")
    usage: CompletionUsage | None = Field(None, description="The usage of the call.")


class EmbeddingVector(_Open):
    """The vector of one text."""

    object: str = Field(description="`embedding`.")
    index: int = Field(description="The position of the text, from 0.")
    embedding: list[float] | str = Field(description="The numbers, or their base64.")


class EmbeddingList(_Open):
    """Vectors of texts."""

    id: str = Field(description="The id of the generation (`gen-…`).")
    object: str = Field(description="`list`.")
    created: int = Field(description="The time of the request, in Unix seconds.")
    model: str = Field(description="The slug of the model that answered.")
    provider: str | None = Field(None, description="The provider that answered.")
    data: list[EmbeddingVector] = Field(description="The vectors.")
    usage: CompletionUsage | None = Field(None, description="The usage of the call.")


class GeneratedImage(_Open):
    """One image."""

    file_id: str | None = Field(None, description="The id of the stored file (`file_…`).")
    url: str | None = Field(None, description="A signed link that is valid for an hour.")
    b64_json: str | None = Field(None, description="The bytes of the image as base64.")
    revised_prompt: str | None = Field(None, description="The prompt that the provider used.")


class GeneratedImages(_Open):
    """Images that were made from a prompt."""

    id: str = Field(description="The id of the generation (`gen-…`).")
    created: int = Field(description="The time of the request, in Unix seconds.")
    model: str = Field(description="The slug of the model that answered.")
    provider: str | None = Field(None, description="The provider that answered.")
    data: list[GeneratedImage] = Field(description="The images.")
    size: str | None = Field(None, description="Width and height in pixels.")
    quality: str | None = Field(None, description="The quality of the images.")
    background: str | None = Field(None, description="`transparent` or `opaque`.")
    output_format: str | None = Field(None, description="`png`, `jpeg` or `webp`.")
    usage: CompletionUsage | None = Field(None, description="The usage of the call.")


class RankedDocument(_Open):
    """The rank of one document."""

    index: int = Field(description="The position of the document in the request, from 0.")
    relevance_score: float = Field(description="The relevance; higher is better.")
    document: dict[str, Any] | None = Field(None, description="The document, e.g. its `text`.")


class DocumentRanking(_Open):
    """Documents by their relevance to a query, best first."""

    id: str = Field(description="The id of the generation (`gen-…`).")
    object: str = Field(description="`list`.")
    created: int = Field(description="The time of the request, in Unix seconds.")
    model: str = Field(description="The slug of the model that answered.")
    provider: str | None = Field(None, description="The provider that answered.")
    results: list[RankedDocument] = Field(description="The ranks.")
    usage: CompletionUsage | None = Field(None, description="The usage of the call.")


class ModerationResult(_Open):
    """The categories of one input."""

    flagged: bool = Field(description="Whether one of the categories applies.")
    categories: dict[str, bool] = Field(description="The categories, and whether they apply.")
    category_scores: dict[str, float] = Field(description="The score of each category, 0 to 1.")


class ModerationResults(_Open):
    """Inputs that were checked for harmful content."""

    id: str = Field(description="The id of the generation (`gen-…`).")
    created: int = Field(description="The time of the request, in Unix seconds.")
    model: str = Field(description="The slug of the model that answered.")
    provider: str | None = Field(None, description="The provider that answered.")
    results: list[ModerationResult] = Field(description="The results, in the order of the inputs.")
    usage: CompletionUsage | None = Field(None, description="The usage of the call.")


class Transcript(_Open):
    """The text of a recording."""

    id: str = Field(description="The id of the generation (`gen-…`).")
    created: int = Field(description="The time of the request, in Unix seconds.")
    model: str = Field(description="The slug of the model that answered.")
    provider: str | None = Field(None, description="The provider that answered.")
    text: str = Field(description="The text.")
    language: str | None = Field(None, description="The language, with `verbose_json`.")
    duration: float | None = Field(None, description="The seconds, with `verbose_json`.")
    segments: list[dict[str, Any]] | None = Field(
        None, description="The parts with their times, with `verbose_json`."
    )
    words: list[dict[str, Any]] | None = Field(
        None, description="The words with their times, if they were requested."
    )
    usage: CompletionUsage | None = Field(None, description="The usage of the call.")


class QuotedPlanStep(JobPlanStep):
    """An endpoint that a request may try, with its quote in US dollars."""

    quote: float = Field(description="The most that the call can cost: the hold.")
    likely_cost: float = Field(description="The likely cost.")


class PlannedRoute(BaseModel):
    """The plan that a request would get now."""

    object: str = Field(description="`route`.")
    model: str = Field(description="The slug of the first model.")
    provider: str = Field(description="The provider of the first plan step.")
    plan: list[QuotedPlanStep] = Field(description="The endpoints to try, in order.")
    routing: JobRouting = Field(description="How the plan was made.")
