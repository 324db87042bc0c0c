"""The body of POST /chat/completions: OpenAI's fields and OpenRouter's (reference: its §2.1).

Validation only: the body that travels on is the caller's own JSON, with nothing added or lost.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from broker.ids import is_id


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)  # the body travels on as it came


class TextPart(_Open):
    type: Literal["text"]
    text: str


class ImageUrl(_Open):
    url: str
    detail: str | None = None


class ImagePart(_Open):
    type: Literal["image_url"]
    image_url: ImageUrl


class AudioPart(_Open):
    type: Literal["input_audio"]
    input_audio: dict[str, Any]


class VideoPart(_Open):
    type: Literal["video_url"]
    video_url: dict[str, Any]


def _not_ours(file_id: Any) -> Any:
    """Refuse a file of POST /files: a provider, to whom the body goes, does not know it."""
    if isinstance(file_id, str) and is_id("file_", file_id):
        raise ValueError("files that were uploaded here cannot be named: send a data URI or a URL")
    return file_id


class HeldFile(_Open):
    file_id: Annotated[Any, AfterValidator(_not_ours)] = None


class FilePart(_Open):
    type: Literal["file"]
    file: HeldFile


class DocumentPart(_Open):
    """Anthropic's form of a file, which OpenRouter's guide shows too."""

    type: Literal["document"]
    source: HeldFile


class RefusalPart(_Open):
    type: Literal["refusal"]
    refusal: str


ContentPart = Annotated[
    TextPart | ImagePart | AudioPart | VideoPart | FilePart | DocumentPart | RefusalPart,
    Field(discriminator="type"),
]
Content = str | list[ContentPart]


class FunctionCall(_Open):
    name: str
    arguments: str = ""


class ToolCall(_Open):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class SystemMessage(_Open):
    role: Literal["system", "developer"]
    content: Content


class UserMessage(_Open):
    role: Literal["user"]
    content: Content


class AssistantMessage(_Open):
    role: Literal["assistant"]
    content: Content | None = None
    tool_calls: list[ToolCall] | None = None


class ToolMessage(_Open):
    role: Literal["tool"]
    content: Content
    tool_call_id: str


class FunctionMessage(_Open):
    """OpenAI's deprecated form of a tool result."""

    role: Literal["function"]
    name: str
    content: str | None


Message = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage,
    Field(discriminator="role"),
]


class FunctionDefinition(_Open):
    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Open):
    type: str
    function: FunctionDefinition | None = None

    @model_validator(mode="after")
    def _function_is_there(self) -> "Tool":
        if self.type == "function" and self.function is None:
            raise ValueError("a tool of type `function` needs a `function`")
        return self


class ResponseFormat(_Open):
    type: Literal["text", "json_object", "json_schema", "grammar", "python"]
    json_schema: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _has_schema(self) -> "ResponseFormat":
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema is needed: {name, schema}, as type says json_schema")
        return self


class StreamOptions(_Open):
    include_usage: bool | None = None


class Route(_Open):
    fallbacks: list[str] | None = None


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


MOST_PARTS = 50_000
"""Messages, their parts and their tool calls in one body: to look at more keeps others waiting."""
Tools = Annotated[list[Tool], Field(max_length=10_000)]


def _bounded(messages: Any) -> Any:
    """Count before looking closer."""
    if isinstance(messages, list):
        within = (
            len(held)
            for message in messages
            if isinstance(message, dict)
            for held in (message.get("content"), message.get("tool_calls"))
            if isinstance(held, list)
        )
        if len(messages) + sum(within) > MOST_PARTS:
            raise ValueError(f"may have {MOST_PARTS:,} messages, parts and tool calls at most")
    return messages


class ChatRequest(_Open):
    """A chat completion as a caller asks for it."""

    messages: Annotated[list[Message], Field(min_length=1), BeforeValidator(_bounded)]
    preset: str | None = None
    model: Annotated[str, Field(min_length=1)] | None = None
    models: list[str] | None = None
    route: Route | Literal["fallback", "sort"] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: TokenCount | None = None
    max_completion_tokens: TokenCount | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    min_p: Share | None = None
    top_a: Share | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Field(ge=0, le=2)] | None = None
    seed: int | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: str | list[str] | None = None
    service_tier: ServiceTier | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: Tools | None = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    modalities: Annotated[list[Word], Field(max_length=16)] | None = None
    provider: dict[str, Any] | None = None
    plugins: list[dict[str, Any]] | None = None
    transforms: list[str] | None = None
    metadata: Annotated[dict[str, Any], Field(max_length=16)] | None = None  # OpenAI's bound
    user: str | None = None
    coalesce: bool | None = None
    session_id: Annotated[str, Field(max_length=256)] | None = None
