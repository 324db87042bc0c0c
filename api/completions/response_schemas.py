"""Chat completions as the OpenAPI document describes them: OpenAI's object and OpenRouter's fields.

Providers may add fields of their own.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Open(BaseModel):
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
    message: ChatAnswer = Field(description="The message of the assistant.")
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
    usage: CompletionUsage | None = Field(None, description="Tokens and cost.")
