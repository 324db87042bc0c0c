"""The body of POST /chat/completions: OpenAI's fields and OpenRouter's (its reference, §2.1).

The models only check a body. Providers get the caller's own JSON.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from broker.requests.bodies.messages import Messages, OpenBody


class FunctionDefinition(OpenBody):
    """A function that the model may call."""

    name: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="The name of the function."
    )
    description: str | None = Field(None, description="When and how to call it.")
    parameters: dict[str, Any] | None = Field(None, description="The JSON Schema of its arguments.")
    strict: bool | None = Field(
        None, description="Whether the arguments must follow the schema exactly."
    )


class Tool(OpenBody):
    """A tool that the model may call."""

    type: str = Field(description="`function`, `native`, or a kind of a provider.")
    function: FunctionDefinition | None = Field(None, description="The function to call.")
    wire: Literal["anthropic"] | None = Field(
        None, description="The wire whose endpoints have a `native` tool."
    )
    tool: dict[str, Any] | None = Field(
        None, description="A `native` tool, in the form of its wire."
    )

    @model_validator(mode="after")
    def _check_function(self) -> "Tool":
        if self.type == "function" and self.function is None:
            raise ValueError("a tool of type `function` needs a `function`")
        if self.type == "native" and (self.wire is None or self.tool is None):
            raise ValueError("a tool of type `native` needs a `wire` and a `tool`")
        return self


class ResponseFormat(OpenBody):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema", "grammar", "python"] = Field(
        description="The kind of the form."
    )
    json_schema: dict[str, Any] | None = Field(
        None, description="`name` and `schema`, for `json_schema`."
    )

    @model_validator(mode="after")
    def _check_schema(self) -> "ResponseFormat":
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema is needed: {name, schema}, as type says json_schema")
        return self


class StreamOptions(OpenBody):
    """Options of a stream."""

    include_usage: bool | None = Field(
        None, description="Whether the usage comes in a chunk without choices, as from OpenAI."
    )


class Route(OpenBody):
    """Models to try after the first."""

    fallbacks: list[str] | None = Field(None, description="The slugs of the models.")


Word = Annotated[str, Field(max_length=64)]
Temperature = Annotated[float, Field(ge=0, le=2)]
Share = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
TokenCount = Annotated[int, Field(ge=1, le=1_000_000_000)]


ServiceTier = Literal[
    "auto", "default", "flex", "priority", "scale",  # OpenAI's
    "fast", "ultrafast",  # OpenRouter's
    "batch",  # ours: a provider's batch
    "standard", "standard_only", "reserved", "on_demand", "performance",  # vendors' own
]  # fmt: skip


Tools = Annotated[list[Tool], Field(max_length=10_000)]


class ChatRequest(OpenBody):
    """A chat completion."""

    messages: Messages = Field(description="The conversation, oldest message first.")
    preset: str | None = Field(None, description="The slug of a preset.")
    model: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="The slug of the model, e.g. `openai/gpt-4o`."
    )
    models: list[str] | None = Field(None, description="Slugs of models to try in this order.")
    route: Route | Literal["fallback", "sort"] | None = Field(
        None, description="OpenRouter's older form of `models` and of sorting."
    )
    stream: bool | None = Field(None, description="Whether the answer comes as server-sent events.")
    stream_options: StreamOptions | None = Field(None, description="Options of the stream.")
    max_tokens: TokenCount | None = Field(None, description="The most tokens of the answer.")
    max_completion_tokens: TokenCount | None = Field(
        None, description="OpenAI's newer name of `max_tokens`."
    )
    temperature: Temperature | None = Field(
        None, description="The randomness: 0 picks the likeliest token."
    )
    top_p: Share | None = Field(
        None, description="The share of probability of the tokens to choose from."
    )
    top_k: Annotated[int, Field(ge=0)] | None = Field(
        None, description="The number of tokens to choose from."
    )
    min_p: Share | None = Field(
        None, description="The least probability of a token, as a share of the likeliest one's."
    )
    top_a: Share | None = Field(
        None, description="The least probability of a token, by the square of the likeliest one's."
    )
    frequency_penalty: Penalty | None = Field(
        None, description="How much repeated tokens are avoided, by their number."
    )
    presence_penalty: Penalty | None = Field(
        None, description="How much repeated tokens are avoided, whatever their number."
    )
    repetition_penalty: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="How much tokens of the input are avoided; 1 is not at all."
    )
    seed: int | None = Field(None, description="A number for repeatable sampling.")
    n: Annotated[int, Field(ge=1, le=128)] | None = Field(
        None, description="The number of answers."
    )
    stop: str | list[str] | None = Field(None, description="Texts that end the answer.")
    service_tier: ServiceTier | None = Field(
        None, description="The provider's service tier; `batch` uses its batch API."
    )
    logit_bias: dict[str, float] | None = Field(
        None, description="Changes of the likelihood of tokens, by their ids."
    )
    logprobs: bool | None = Field(None, description="Whether the answer has log probabilities.")
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="The number of likeliest tokens with log probabilities."
    )
    tools: Tools | None = Field(None, description="The tools that the model may call.")
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = Field(
        None, description="Whether the model calls a tool, or which one."
    )
    parallel_tool_calls: bool | None = Field(
        None, description="Whether the model may call several tools at once."
    )
    response_format: ResponseFormat | None = Field(None, description="The form of the answer.")
    reasoning: dict[str, Any] | None = Field(
        None,
        description="OpenRouter's options of reasoning: `effort`, `max_tokens`, `exclude`.",
    )
    reasoning_effort: str | None = Field(
        None, description="OpenAI's option of reasoning, e.g. `low`."
    )
    modalities: Annotated[list[Word], Field(max_length=16)] | None = Field(
        None, description="The kinds of output, e.g. `text` and `audio`."
    )
    provider: dict[str, Any] | None = Field(
        None, description="Routing preferences, e.g. `order`, `only`, `sort`."
    )
    plugins: list[dict[str, Any]] | None = Field(
        None, description='Plugins, e.g. `{"id": "response-healing"}`.'
    )
    transforms: list[str] | None = Field(
        None, description="OpenRouter's transforms, e.g. `middle-out`."
    )
    metadata: Annotated[dict[str, Any], Field(max_length=16)] | None = Field(
        None, description="Your own names and values, at most 16."
    )
    user: str | None = Field(None, description="Your id of the end user.")
    coalesce: bool | None = Field(
        None, description="Whether identical concurrent jobs share one call."
    )
    session_id: Annotated[str, Field(max_length=256)] | None = Field(
        None, description="The session, whose calls prefer the endpoint with its prompt cache."
    )
