"""Answers about models, endpoints and providers, as the OpenAPI document describes them.

Times are Unix seconds. Prices are US dollars as texts, so that no digit is lost.
"""

from pydantic import BaseModel, Field

from api.jobs.response_schemas import CallPrices


class EndpointPrices(CallPrices):
    """Prices of a call at an endpoint."""

    discount: float = Field(description="0: OpenRouter's field, without a meaning here.")


class ModelArchitecture(BaseModel):
    """The inputs and outputs of a model."""

    modality: str = Field(description="Inputs and outputs in one text, e.g. `text+image->text`.")
    input_modalities: list[str] = Field(description="The kinds of content that a prompt may have.")
    output_modalities: list[str] = Field(description="The kinds of content that an answer has.")
    tokenizer: str = Field(description="The family of the tokenizer, e.g. `GPT`, or `Other`.")
    instruct_type: str | None = Field(description="Null: OpenRouter's field, not used here.")


class TopProvider(BaseModel):
    """The limits of the endpoint with the longest context."""

    context_length: int | None = Field(description="The most tokens of prompt and answer.")
    max_completion_tokens: int | None = Field(description="The most tokens of the answer.")
    is_moderated: bool = Field(description="False: Waybill moderates nothing.")


class ModelLinks(BaseModel):
    """Paths of a model."""

    details: str = Field(description="The endpoints of the model.")


class ModelAlias(BaseModel):
    """The model that another name refers to."""

    slug: str = Field(description="The slug of the model.")
    name: str = Field(description="The display name of the model.")


class ListedModel(BaseModel):
    """A model as lists show it."""

    id: str = Field(description="The slug of the model, e.g. `openai/gpt-4o`.")
    canonical_slug: str = Field(description="The slug of the model.")
    name: str = Field(description="The display name of the model.")
    object: str = Field(description="`model`.")
    owned_by: str = Field(description="The author: the part of the slug before the `/`.")
    created: int = Field(description="The time of publication; 0 if it is unknown.")
    description: str = Field(description="A description of the model.")
    context_length: int | None = Field(description="The most tokens of prompt and answer.")
    architecture: ModelArchitecture = Field(description="The inputs and outputs of the model.")
    pricing: CallPrices = Field(description="The prices of the cheapest endpoint.")
    top_provider: TopProvider = Field(description="The limits of the longest context.")
    per_request_limits: dict[str, str] | None = Field(
        description="Null: OpenRouter's field, not used here."
    )
    supported_parameters: list[str] = Field(description="The parameters that the model takes.")
    supported_endpoints: list[str] = Field(
        description="The paths at which it can be called, e.g. `/v1/responses`."
    )
    default_parameters: dict[str, float] | None = Field(
        description="Null: OpenRouter's field, not used here."
    )
    supported_voices: list[str] | None = Field(
        description="Null: OpenRouter's field, not used here."
    )
    knowledge_cutoff: str | None = Field(description="The date at which its knowledge ends.")
    expiration_date: str | None = Field(description="The date at which providers remove it.")
    hugging_face_id: str | None = Field(description="Null: OpenRouter's field, not used here.")
    links: ModelLinks = Field(description="Paths of the model.")
    available: bool = Field(description="Whether a provider that the caller can reach serves it.")


class ModelDetails(ListedModel):
    """A model, found by any of its names."""

    alias_target: ModelAlias | None = Field(
        None, description="The model, if the requested name is not its slug."
    )


class PageLinks(BaseModel):
    """Paths of other pages."""

    next: str | None = Field(description="The next page; null for the last one.")


class ModelPage(BaseModel):
    """A page of models."""

    object: str = Field(description="`list`.")
    data: list[ListedModel] = Field(description="The models.")
    total_count: int = Field(description="The number of models on all pages.")
    links: PageLinks = Field(description="The paths of other pages.")


class NumberOfModels(BaseModel):
    """A number of models."""

    count: int = Field(description="The number of models.")


class ModelCount(BaseModel):
    """The number of models that a list would have."""

    data: NumberOfModels = Field(description="The number of models.")


class ModelAnswer(BaseModel):
    """One model."""

    data: ModelDetails = Field(description="The model.")


class OpenAiModelAnswer(ModelAnswer):
    """One model, with the fields of OpenAI's object beside it."""

    id: str = Field(description="The slug of the model.")
    object: str = Field(description="`model`.")
    created: int = Field(description="The time of publication; 0 if it is unknown.")
    owned_by: str = Field(description="The author: the part of the slug before the `/`.")


class ToolChoiceSupport(BaseModel):
    """The values of `tool_choice` that an endpoint takes."""

    auto: bool = Field(description="The model decides.")
    none: bool = Field(description="The model calls no tool.")
    required: bool = Field(description="The model calls a tool.")
    function: bool = Field(description="The model calls the named function.")


class EndpointPause(BaseModel):
    """A time in which an endpoint is not called."""

    until: float = Field(description="The end of the pause.")
    reason: str = Field(description="`rate_limited`, `nothing_left` or `asked_to_wait`.")


class EndpointPercentiles(BaseModel):
    """Percentiles of the calls of 30 minutes."""

    p50: float = Field(description="The median.")
    p75: float = Field(description="The 75th percentile.")
    p90: float = Field(description="The 90th percentile.")
    p99: float = Field(description="The 99th percentile.")


class EndpointDataPolicy(BaseModel):
    """A provider's use of prompts."""

    trains: bool | None = Field(description="Whether it trains models on prompts; null: unknown.")
    retention_days: int | None = Field(description="The days for which it stores prompts.")
    zdr: bool = Field(description="Whether it promises zero data retention.")


class ModelEndpoint(BaseModel):
    """One model at one provider."""

    name: str = Field(description="The display names of the provider and the model.")
    tag: str = Field(description="The slug of the provider.")
    provider_name: str = Field(description="The display name of the provider.")
    model_id: str = Field(description="The slug of the model.")
    model_name: str = Field(description="The display name of the model.")
    native_model: str = Field(description="The provider's own name of the model.")
    context_length: int = Field(description="The most tokens of prompt and answer; 0: unknown.")
    max_prompt_tokens: int | None = Field(description="Null: OpenRouter's field, not used here.")
    max_completion_tokens: int | None = Field(description="The most tokens of the answer.")
    quantization: str = Field(description="The precision of the weights, e.g. `fp8`, or `unknown`.")
    pricing: EndpointPrices = Field(description="The prices of the endpoint.")
    supported_parameters: list[str] = Field(description="The parameters that the endpoint takes.")
    supports_tool_choice: ToolChoiceSupport = Field(description="The `tool_choice` it takes.")
    supports_implicit_caching: bool = Field(description="Whether cached prompts cost less.")
    supports_diarization: bool = Field(description="False: OpenRouter's field, not used here.")
    native_tools: dict[str, bool] = Field(description="Empty: OpenRouter's field, not used here.")
    service_tier: str | None = Field(description="Null: OpenRouter's field, not used here.")
    status: int = Field(description="0 is healthy, -1 is being tested, -5 is not called.")
    uptime_last_5m: float | None = Field(description="Successful calls of 5 minutes, in percent.")
    uptime_last_30m: float | None = Field(description="Successful calls of 30 minutes, in percent.")
    uptime_last_1d: float | None = Field(description="Successful calls of a day, in percent.")
    pause: EndpointPause | None = Field(description="The pause; null if it is called.")
    latency_last_30m: EndpointPercentiles | None = Field(
        description="Milliseconds to the first token."
    )
    throughput_last_30m: EndpointPercentiles | None = Field(
        description="Tokens of the answer per second."
    )
    data_policy: EndpointDataPolicy = Field(description="The provider's use of prompts.")
    available: bool = Field(description="Whether the caller can reach the provider.")


class ModelWithEndpoints(BaseModel):
    """A model with its endpoints."""

    id: str = Field(description="The slug of the model.")
    name: str = Field(description="The display name of the model.")
    created: int = Field(description="The time of publication; 0 if it is unknown.")
    description: str = Field(description="A description of the model.")
    architecture: ModelArchitecture = Field(description="The inputs and outputs of the model.")
    endpoints: list[ModelEndpoint] = Field(description="The endpoints.")


class ModelEndpointsAnswer(BaseModel):
    """A model with its endpoints."""

    data: ModelWithEndpoints = Field(description="The model.")


class ModelEndpointList(BaseModel):
    """Endpoints of several models."""

    data: list[ModelEndpoint] = Field(description="The endpoints.")


class ProviderPause(EndpointPause):
    """A time in which a model of a provider is not called."""

    model: str = Field(description="The slug of the model.")


class ListedProvider(BaseModel):
    """A provider."""

    name: str = Field(description="The display name of the provider.")
    slug: str = Field(description="The slug of the provider.")
    privacy_policy_url: str | None = Field(description="The page with its privacy policy.")
    terms_of_service_url: str | None = Field(description="The page with its terms.")
    status_page_url: str | None = Field(description="The page with its status.")
    headquarters: str | None = Field(description="The country of its seat (ISO 3166).")
    datacenters: list[str] | None = Field(description="The countries of its data centers.")
    pauses: list[ProviderPause] = Field(description="The models that are not called, and why.")
    paused: bool = Field(description="Whether an operator has paused all calls to it.")
    available: bool = Field(description="Whether the caller can reach the provider.")


class OperatorPause(BaseModel):
    """A pause of a provider that an operator has set."""

    reason: str | None = Field(description="The operator's reason.")
    paused_by: str = Field(description="Who set it.")
    paused_at: str = Field(description="The time when it was set (ISO 8601).")


class ConfiguredProvider(BaseModel):
    """A provider as the installation is configured for it."""

    slug: str = Field(description="The slug of the provider.")
    name: str = Field(description="The display name of the provider.")
    wire: str = Field(description="The HTTP protocol that it speaks.")
    base_url: str = Field(description="The address of its API.")
    is_configured: bool = Field(description="Whether it can be called.")
    problem: str | None = Field(description="What to set so that it can be called.")
    endpoints: int = Field(description="The number of its models in the catalog.")
    max_concurrency: int | None = Field(description="The most calls at the same time.")
    requests_per_minute: int | None = Field(
        description="The most requests in a minute; null for no limit."
    )
    tokens_per_minute: int | None = Field(
        description="The most tokens in a minute; null for no limit."
    )
    pause: OperatorPause | None = Field(description="The pause that an operator has set.")


class ConfiguredProviderList(BaseModel):
    """The providers of the installation, those that can be called first."""

    data: list[ConfiguredProvider] = Field(description="The providers.")


class ConfiguredProviderAnswer(BaseModel):
    """One provider as the installation is configured for it."""

    data: ConfiguredProvider = Field(description="The provider.")


class ProviderList(BaseModel):
    """A list of providers."""

    data: list[ListedProvider] = Field(description="The providers.")
