"""The body of POST /responses: OpenAI's fields, and OpenRouter's for routing."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from broker.dialects.responses.item_schemas import InputItem
from broker.requests.bodies.chat import Route, ServiceTier, Share, Temperature, TokenCount, Word
from broker.requests.bodies.messages import MAX_PARTS, OpenBody


class ResponseTool(OpenBody):
    """A tool that the model may call."""

    type: Annotated[str, Field(min_length=1)] = Field(description="`function` or `custom`.")
    name: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        None, description="The name of the tool."
    )
    description: str | None = Field(None, description="When and how to call it.")
    parameters: dict[str, Any] | None = Field(
        None, description="The JSON Schema of a function's arguments."
    )
    strict: bool | None = Field(
        None, description="Whether the arguments must follow the schema exactly."
    )
    format: dict[str, Any] | None = Field(
        None, description="The form of a custom tool's input: `type`, `syntax`, `definition`."
    )


class AllowedTool(OpenBody):
    """A tool of the list of allowed ones."""

    type: Annotated[str, Field(min_length=1)] = Field(description="`function` or `custom`.")
    name: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="The name of the tool."
    )
    namespace: str | None = Field(None, description="The namespace of the tool.")


class ResponseToolChoice(OpenBody):
    """The choice of a tool, or of several."""

    type: Annotated[str, Field(min_length=1)] = Field(
        description="`function`, `custom` or `allowed_tools`."
    )
    name: str | None = Field(None, description="The name of the tool.")
    namespace: str | None = Field(None, description="The namespace of the tool.")
    mode: Literal["auto", "required"] | None = Field(
        None, description="For `allowed_tools`: whether the model must call one of them."
    )
    tools: Annotated[list[AllowedTool], Field(max_length=10_000)] | None = Field(
        None, description="For `allowed_tools`: the tools that the model may call."
    )


class TextFormat(OpenBody):
    """The form of the text."""

    type: Literal["text", "json_object", "json_schema"] = Field(description="The kind of the form.")
    name: str | None = Field(None, description="The name of the schema.")
    description: str | None = Field(None, description="What the answer is for.")
    schema_: dict[str, Any] | None = Field(
        None, alias="schema", description="The JSON Schema, for `json_schema`."
    )
    strict: bool | None = Field(None, description="Whether the answer must follow it exactly.")


class TextOptions(OpenBody):
    """Options of the text of the answer."""

    format: TextFormat | None = Field(None, description="The form of the text.")
    verbosity: str | None = Field(None, description="`low`, `medium` or `high`.")


class ReasoningOptions(OpenBody):
    """Options of reasoning."""

    effort: str | None = Field(None, description="How much the model reasons, e.g. `low`.")
    summary: str | None = Field(None, description="`auto`, `concise` or `detailed`.")


class ResponseStreamOptions(OpenBody):
    """Options of a stream."""

    include_obfuscation: bool | None = Field(
        None, description="Accepted, without effect: deltas are not padded."
    )


def _check_number(items: Any) -> Any:
    """Raise ValueError for too many items, before each one is checked."""
    if isinstance(items, list):
        within = (
            len(held)
            for item in items
            if isinstance(item, dict)
            for held in (item.get("content"), item.get("output"), item.get("summary"))
            if isinstance(held, list)
        )
        if len(items) + sum(within) > MAX_PARTS:
            raise ValueError(f"may have {MAX_PARTS:,} items and parts at most")
    return items


Input = Annotated[str | list[InputItem], BeforeValidator(_check_number)]


class ResponseRequest(OpenBody):
    """A response. Fields that are not listed are passed to the provider."""

    input: Input | None = Field(None, description="The new input: a text, or items.")
    instructions: str | None = Field(
        None, description="Instructions for this response. Later responses do not inherit them."
    )
    model: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="The slug of the model, e.g. `openai/gpt-4o`."
    )
    models: list[str] | None = Field(None, description="Slugs of models to try in this order.")
    previous_response_id: str | None = Field(
        None, description="The response that this one continues."
    )
    background: bool | None = Field(
        None, description="Whether the response is created later; fetch it by its id."
    )
    stream: bool | None = Field(None, description="Whether events are sent as they happen.")
    stream_options: ResponseStreamOptions | None = Field(None, description="Options of a stream.")
    store: bool | None = Field(
        None, description="`false` deletes the input when the response has ended."
    )
    include: Annotated[list[Word], Field(max_length=32)] | None = Field(
        None, description="What else to return, e.g. `message.output_text.logprobs`."
    )
    max_output_tokens: TokenCount | None = Field(
        None, description="The most tokens of the answer, reasoning included."
    )
    max_tool_calls: Annotated[int, Field(ge=1)] | None = Field(
        None, description="The most calls of a provider's own tools."
    )
    temperature: Temperature | None = Field(
        None, description="The randomness: 0 picks the likeliest token."
    )
    top_p: Share | None = Field(
        None, description="The share of probability of the tokens to choose from."
    )
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="The number of likeliest tokens with log probabilities."
    )
    tools: Annotated[list[ResponseTool], Field(max_length=10_000)] | None = Field(
        None, description="The tools that the model may call."
    )
    tool_choice: Literal["none", "auto", "required"] | ResponseToolChoice | None = Field(
        None, description="Whether the model calls a tool, or which one."
    )
    parallel_tool_calls: bool | None = Field(
        None, description="Whether the model may call several tools at once."
    )
    text: TextOptions | None = Field(None, description="Options of the text of the answer.")
    reasoning: ReasoningOptions | None = Field(None, description="Options of reasoning.")
    truncation: Literal["auto", "disabled"] | None = Field(
        None, description="`auto` shortens an input that does not fit."
    )
    metadata: Annotated[dict[str, Any], Field(max_length=16)] | None = Field(
        None, description="Your own names and values, at most 16."
    )
    user: str | None = Field(None, description="Your id of the end user.")
    safety_identifier: str | None = Field(None, description="Your id of the end user.")
    prompt_cache_key: str | None = Field(
        None, description="The key of the provider's prompt cache."
    )
    service_tier: ServiceTier | None = Field(None, description="The provider's service tier.")
    preset: str | None = Field(None, description="The slug of a preset.")
    provider: dict[str, Any] | None = Field(
        None, description="Routing preferences, e.g. `order`, `only`, `sort`."
    )
    route: Route | Literal["fallback", "sort"] | None = Field(
        None, description="OpenRouter's older form of `models` and of sorting."
    )
    plugins: list[dict[str, Any]] | None = Field(
        None, description='Plugins, e.g. `{"id": "response-healing"}`.'
    )
    session_id: Annotated[str, Field(max_length=256)] | None = Field(
        None, description="The session, whose calls prefer the endpoint with its prompt cache."
    )
