"""The body of POST /messages: Anthropic's fields, and OpenRouter's for routing.

The models only check a body. Fields that they do not name are sent to Anthropic's endpoints as they
are.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from broker.dialects.messages.content import MessageParam, TextBlockParam
from broker.requests.bodies.messages import MAX_PARTS, OpenBody

MAX_FALLBACKS = 3


class MessageTool(OpenBody):
    """A tool: one of the caller (`custom`), or one that Anthropic defines."""

    type: str | None = Field(
        None, description="`custom` by default, or a kind of Anthropic's, e.g. `bash_20250124`."
    )
    name: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        None, description="The name of the tool."
    )
    description: str | None = Field(None, description="When and how to use it.")
    input_schema: dict[str, Any] | None = Field(
        None, description="The JSON Schema of its input, for a `custom` tool."
    )
    cache_control: dict[str, Any] | None = Field(
        None, description="Marks the end of a cached prefix."
    )
    strict: bool | None = Field(
        None, description="Whether the input must follow the schema exactly."
    )

    @property
    def is_custom(self) -> bool:
        """Return whether the caller defines it."""
        return self.type in (None, "custom")

    @model_validator(mode="after")
    def _check_custom(self) -> "MessageTool":
        if self.is_custom and not self.name:
            raise ValueError("name is needed for a custom tool")
        if self.is_custom and self.input_schema is None:
            raise ValueError("input_schema is needed for a custom tool")
        return self


class MessageToolChoice(OpenBody):
    """The choice of a tool."""

    type: Literal["auto", "any", "tool", "none"] = Field(description="The kind of the choice.")
    name: str | None = Field(None, description="The name of the tool, for `tool`.")
    disable_parallel_tool_use: bool | None = Field(
        None, description="Whether the model may use one tool at most."
    )

    @model_validator(mode="after")
    def _check_name(self) -> "MessageToolChoice":
        if self.type == "tool" and not self.name:
            raise ValueError("name is needed for a choice of type `tool`")
        return self


class ThinkingOptions(OpenBody):
    """Options of the thinking before the answer."""

    type: Literal["enabled", "adaptive", "disabled"] = Field(
        description="The kind of thinking: with a budget, as the model decides, or none."
    )
    budget_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="The most tokens of thinking, for `enabled`."
    )
    display: Literal["summarized", "omitted", "full"] | None = Field(
        None, description="Whether the answer contains the thinking."
    )

    @model_validator(mode="after")
    def _check_budget(self) -> "ThinkingOptions":
        if self.type == "enabled" and self.budget_tokens is None:
            raise ValueError("budget_tokens is needed for thinking of type `enabled`")
        return self


class MessageFormat(OpenBody):
    """The form of the answer."""

    type: Literal["json_schema"] = Field(description="The kind of the form.")
    json_schema: dict[str, Any] = Field(alias="schema", description="The JSON Schema.")


class MessageOutputConfig(OpenBody):
    """Options of the answer."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = Field(
        None, description="How thoroughly the model works."
    )
    format: MessageFormat | None = Field(None, description="The form of the answer.")


class MessageMetadata(OpenBody):
    """More about the request."""

    user_id: str | None = Field(None, description="Your id of the end user.")


class FallbackModel(OpenBody):
    """A model to try when those before it fail."""

    model: Annotated[str, Field(min_length=1)] = Field(description="The slug of the model.")


def _check_number(messages: Any) -> Any:
    """Raise ValueError for too many messages, before each one is checked."""
    if isinstance(messages, list):
        lists = (message.get("content") for message in messages if isinstance(message, dict))
        count = len(messages) + sum(len(each) for each in lists if isinstance(each, list))
        if count > MAX_PARTS:
            raise ValueError(f"may have {MAX_PARTS:,} messages and blocks at most")
    return messages


class PromptBody(OpenBody):
    """The prompt of a message: what POST /messages/count_tokens counts."""

    messages: Annotated[list[MessageParam], Field(min_length=1), BeforeValidator(_check_number)] = (
        Field(description="The conversation, oldest message first.")
    )
    model: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="The slug of the model, e.g. `anthropic/claude-sonnet-4.5`."
    )
    system: str | list[TextBlockParam] | None = Field(
        None, description="The instructions: a text, or text blocks."
    )
    tools: Annotated[list[MessageTool], Field(max_length=10_000)] | None = Field(
        None, description="The tools that the model may use."
    )
    tool_choice: MessageToolChoice | None = Field(
        None, description="Whether the model uses a tool, or which one."
    )
    thinking: ThinkingOptions | None = Field(None, description="Whether and how the model thinks.")
    output_config: MessageOutputConfig | None = Field(None, description="Options of the answer.")
    mcp_servers: list[dict[str, Any]] | None = Field(
        None, description="Servers of tools, for Anthropic's endpoints only."
    )


class MessagesBody(PromptBody):
    """A message to create."""

    max_tokens: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        description="The most tokens of the answer."
    )
    stream: bool | None = Field(None, description="Whether the answer comes as server-sent events.")
    stop_sequences: list[str] | None = Field(None, description="Texts that end the answer.")
    temperature: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="The randomness: 0 picks the likeliest token."
    )
    top_p: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="The share of probability of the tokens to choose from."
    )
    top_k: Annotated[int, Field(ge=0)] | None = Field(
        None, description="The number of tokens to choose from."
    )
    metadata: MessageMetadata | None = Field(None, description="More about the request.")
    service_tier: Literal["auto", "standard_only"] | None = Field(
        None, description="Whether priority capacity may be used."
    )
    output_format: MessageFormat | None = Field(
        None, description="The older name of `output_config.format`."
    )
    container: str | dict[str, Any] | None = Field(
        None, description="The container of server tools, for Anthropic's endpoints only."
    )
    context_management: dict[str, Any] | None = Field(
        None, description="Edits of the context, which only Anthropic's endpoints make."
    )
    inference_geo: str | None = Field(
        None, description="Where the model runs; only Anthropic's endpoints read it."
    )
    preset: str | None = Field(None, description="The slug of a preset.")
    models: list[str] | None = Field(None, description="Slugs of models to try in this order.")
    fallbacks: Annotated[list[FallbackModel], Field(max_length=MAX_FALLBACKS)] | None = Field(
        None, description="Models to try after the first; not together with `models`."
    )
    provider: dict[str, Any] | None = Field(
        None, description="Routing preferences, e.g. `order`, `only`, `sort`."
    )
    plugins: list[dict[str, Any]] | None = Field(
        None, description='Plugins, e.g. `{"id": "response-healing"}`.'
    )
    session_id: Annotated[str, Field(max_length=256)] | None = Field(
        None, description="The session, whose calls prefer the endpoint with its prompt cache."
    )
