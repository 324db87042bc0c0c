"""Answers of the Messages API, as the OpenAPI document describes them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Open(BaseModel):
    """An answer that may have more fields."""

    model_config = ConfigDict(extra="allow")


class MessageBlock(_Open):
    """A block of a message: `text`, `thinking`, `tool_use` or another kind."""

    type: str = Field(description="The kind of the block.")


class MessageUsage(_Open):
    """Tokens and cost of a message."""

    input_tokens: int = Field(description="Tokens of the prompt, without cached ones.")
    output_tokens: int = Field(description="Tokens of the answer.")
    cache_creation_input_tokens: int = Field(description="Tokens written to the prompt cache.")
    cache_read_input_tokens: int = Field(description="Tokens read from the prompt cache.")
    service_tier: str | None = Field(None, description="The service tier that was used.")
    server_tool_use: dict[str, Any] | None = Field(
        None, description="How often the provider used its own tools."
    )
    cost: float | None = Field(None, description="The cost in US dollars.")
    is_byok: bool = Field(False, description="Whether a provider key of the workspace was used.")


class Message(_Open):
    """A message of a model."""

    id: str = Field(description="The id of the message (`msg_…`).")
    type: str = Field(description="`message`.")
    role: str = Field(description="`assistant`.")
    model: str = Field(description="The slug of the model that answered.")
    provider: str | None = Field(None, description="The provider that answered.")
    content: list[MessageBlock] = Field(description="The blocks of the answer.")
    stop_reason: str | None = Field(
        description="`end_turn`, `max_tokens`, `stop_sequence`, `tool_use`, `pause_turn` or "
        "`refusal`; absent while the message is made."
    )
    stop_sequence: str | None = Field(None, description="The text that ended the answer.")
    usage: MessageUsage = Field(description="The usage of the call.")


class TokenCount(BaseModel):
    """The size of a prompt."""

    input_tokens: int = Field(description="The tokens of the prompt.")
    estimated: bool = Field(
        description="Whether Waybill estimated them, by the length of the prompt."
    )
