"""Answers of the routes of activity, analytics and generations, for the OpenAPI document.

Names are OpenRouter's. Amounts are US dollars, times ISO 8601, durations milliseconds.
"""

from typing import Any, Literal

from pydantic import BaseModel, Field


class ActivityRow(BaseModel):
    """The usage of one UTC day, model and provider."""

    date: str = Field(description="The day, as YYYY-MM-DD.")
    model: str = Field(description="The slug of the model.")
    model_permaslug: str = Field(description="The same slug.")
    endpoint_id: str = Field(description="`<provider>/<model>`.")
    provider_name: str = Field(description="The slug of the provider.")
    requests: int = Field(description="Answered requests.")
    prompt_tokens: int = Field(description="Tokens of the prompts, cached ones included.")
    completion_tokens: int = Field(description="Tokens of the answers.")
    reasoning_tokens: int = Field(description="Tokens of the reasoning.")
    cached_tokens: int = Field(description="Tokens of the prompts that a provider had cached.")
    usage: float = Field(description="The cost that was charged.")
    byok_usage_inference: float = Field(
        description="The cost that providers charged the workspace's own accounts."
    )
    workspace_id: str | None = Field(
        None, description="The id of the workspace; only with `group_by=workspace`."
    )


class ActivityAnswer(BaseModel):
    """Usage by day, model and provider, newest day first."""

    data: list[ActivityRow] = Field(description="The rows.")


class AnalyticsMetric(BaseModel):
    """A metric of `POST /analytics/query`."""

    name: str = Field(description="The name of the metric.")
    display_label: str = Field(description="The name for people.")
    display_format: str = Field(
        description="`number`, `currency` (US dollars), `percent` (a share of 1) or `latency` (ms)."
    )
    is_rate: bool = Field(description="Whether the metric is a ratio, so that no sum is useful.")


class AnalyticsName(BaseModel):
    """A dimension or granularity of `POST /analytics/query`."""

    name: str = Field(description="The name.")
    display_label: str = Field(description="The name for people.")


class AnalyticsOperator(BaseModel):
    """An operator of the filters of `POST /analytics/query`."""

    name: str = Field(description="The name of the operator.")
    value_type: Literal["array", "scalar"] = Field(
        description="Whether the operator takes a list or one value."
    )


class AnalyticsNames(BaseModel):
    """The names that `POST /analytics/query` takes."""

    metrics: list[AnalyticsMetric] = Field(description="The metrics.")
    dimensions: list[AnalyticsName] = Field(description="The dimensions.")
    granularities: list[AnalyticsName] = Field(description="The granularities.")
    operators: list[AnalyticsOperator] = Field(description="The operators of filters.")


class AnalyticsNamesAnswer(BaseModel):
    """The names that `POST /analytics/query` takes."""

    data: AnalyticsNames = Field(description="The names.")


class AnalyticsMetadata(BaseModel):
    """About the result of a query."""

    query_time_ms: float = Field(description="The time that the query took.")
    row_count: int = Field(description="The number of rows.")
    truncated: bool = Field(description="Whether there are more rows than the limit.")


class AnalyticsResult(BaseModel):
    """The result of a query."""

    data: list[dict[str, str | float | None]] = Field(
        description="The rows: `date` (with a granularity), each dimension and each metric by name."
    )
    metadata: AnalyticsMetadata = Field(description="About the result.")


class AnalyticsAnswer(BaseModel):
    """The answer of a query."""

    data: AnalyticsResult = Field(description="The result.")


class ProviderResponse(BaseModel):
    """The response of a provider to one attempt."""

    id: str | None = Field(description="The provider's id of the response.")
    status: int | None = Field(description="The HTTP status.")
    latency: int | None = Field(description="The duration of the attempt.")
    provider_name: str = Field(description="The slug of the provider.")
    model_permaslug: str = Field(description="The slug of the model.")
    endpoint_id: str = Field(description="`<provider>/<model>`.")
    is_byok: bool = Field(description="Whether a provider key of the workspace was used.")
    routed_service_tier: str | None = Field(description="Always null.")


class Generation(BaseModel):
    """The record of one answer. Fields that are always null exist for OpenRouter's clients."""

    id: str = Field(description="The id of the generation (`gen-…`).")
    request_id: str = Field(description="The id of the job.")
    job_id: str = Field(description="The id of the job (`job_…`).")
    upstream_id: str | None = Field(description="The provider's id of the answer.")
    workspace_id: str = Field(description="The id of the workspace.")
    api_key_id: str = Field(description="The id of the key that sent the request.")
    created_at: str = Field(description="The time of the answer.")
    api_type: Literal[
        "completions", "embeddings", "rerank", "moderation", "tts", "stt", "image"
    ] = Field(description="The operation.")
    model: str = Field(description="The slug of the model that answered.")
    provider_name: str = Field(description="The slug of the provider that answered.")
    provider_responses: list[ProviderResponse] = Field(
        description="The responses of providers to all attempts, in order."
    )
    streamed: bool = Field(description="Whether the answer was streamed.")
    cancelled: bool = Field(description="Whether the job was cancelled.")
    finish_reason: str | None = Field(description="Why the answer ended.")
    native_finish_reason: str | None = Field(description="The provider's own reason.")
    latency: int | None = Field(
        description="The time to the first token, or to the whole answer without a stream."
    )
    generation_time: int | None = Field(description="The time to the whole answer.")
    tokens_prompt: int = Field(description="Tokens of the prompt, cached ones included.")
    tokens_completion: int = Field(description="Tokens of the answer.")
    native_tokens_prompt: int = Field(description="The same as `tokens_prompt`.")
    native_tokens_completion: int = Field(description="The same as `tokens_completion`.")
    native_tokens_reasoning: int = Field(description="Tokens of the reasoning.")
    native_tokens_cached: int = Field(description="Tokens of the prompt that were cached.")
    num_media_prompt: int = Field(description="Parts of the prompt that are not text.")
    num_input_audio_prompt: int = Field(description="Parts of the prompt that are audio.")
    num_media_completion: int | None = Field(description="Always null.")
    native_tokens_completion_images: int | None = Field(description="Tokens of images.")
    usage: float = Field(description="The cost that was charged.")
    total_cost: float = Field(description="The same as `usage`.")
    upstream_inference_cost: float | None = Field(
        description="The cost that the provider charged, if it is known."
    )
    cache_discount: float | None = Field(
        description="The cost that cached tokens saved; null without cached tokens."
    )
    is_byok: bool = Field(description="Whether a provider key of the workspace was used.")
    service_tier: str | None = Field(description="The service tier that the provider reported.")
    data_region: str = Field(description="`global`.")
    session_id: str | None = Field(description="The session of the request.")
    external_user: str | None = Field(description="The `user` of the request.")
    app: str | None = Field(description="The app: `X-Title`, or the host of `HTTP-Referer`.")
    app_id: int | None = Field(description="Always null.")
    origin: str = Field(description="The header `HTTP-Referer`, or an empty string.")
    http_referer: str | None = Field(description="The header `HTTP-Referer`.")
    user_agent: str | None = Field(description="The header `User-Agent`.")
    metadata: dict[str, str] = Field(description="The caller's own names and values.")
    trace: dict[str, Any] | None = Field(description="The `trace` of the request.")
    moderation_latency: int | None = Field(description="Always null.")
    num_fetches: int | None = Field(description="Always null.")
    num_search_results: int | None = Field(description="Always null.")
    preset_id: str | None = Field(description="Always null.")
    response_cache_source_id: str | None = Field(description="Always null.")
    router: str | None = Field(description="Always null.")
    web_search_engine: str | None = Field(description="Always null.")


class GenerationAnswer(BaseModel):
    """One generation."""

    data: Generation = Field(description="The generation.")


class GenerationInput(BaseModel):
    """The input of a generation: `messages` of a chat, else `prompt`."""

    messages: list[dict[str, Any]] | None = Field(None, description="The messages of a chat.")
    prompt: str | None = Field(None, description="The input of another operation, as text.")


class GenerationOutput(BaseModel):
    """The output of a generation."""

    completion: str | list[dict[str, Any]] | None = Field(description="The answer.")
    reasoning: str | None = Field(description="The reasoning, as far as the provider shows it.")


class GenerationError(BaseModel):
    """The error of a job that failed."""

    status: int | None = Field(description="The HTTP status that the provider answered.")
    message: str | None = Field(description="The message.")
    provider_name: str | None = Field(description="The slug of the provider.")
    raw: Any = Field(description="The beginning of what the provider answered.")
    previous_errors: list[dict[str, Any]] = Field(description="Always empty.")


class GenerationContent(BaseModel):
    """The stored content of a generation."""

    id: str = Field(description="The id of the generation.")
    input: GenerationInput | None = Field(description="The input; null if it is not stored.")
    output: GenerationOutput = Field(description="The output.")
    error: GenerationError | None = Field(description="The error; null without one.")


class GenerationContentAnswer(BaseModel):
    """The stored content of a generation."""

    data: GenerationContent = Field(description="The content.")
