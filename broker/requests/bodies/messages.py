"""Messages of chat bodies: OpenAI's parts, and Anthropic's form of a file."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from broker.ids import is_id


class OpenBody(BaseModel):
    """A body, or a part of one, that may have more fields: providers know more than Waybill."""

    model_config = ConfigDict(extra="allow", strict=True)


class TextPart(OpenBody):
    """A text."""

    type: Literal["text"] = Field(description="The kind of the part.")
    text: str = Field(description="The text.")


class ImageUrl(OpenBody):
    """The address of an image."""

    url: str = Field(description="An HTTPS URL or a data URI.")
    detail: str | None = Field(None, description="The resolution: `auto`, `low` or `high`.")


class ImagePart(OpenBody):
    """An image."""

    type: Literal["image_url"] = Field(description="The kind of the part.")
    image_url: ImageUrl = Field(description="The image.")


class AudioPart(OpenBody):
    """Sound."""

    type: Literal["input_audio"] = Field(description="The kind of the part.")
    input_audio: dict[str, Any] = Field(description="`data` (base64) and `format`, e.g. `wav`.")


class VideoPart(OpenBody):
    """A video."""

    type: Literal["video_url"] = Field(description="The kind of the part.")
    video_url: dict[str, Any] = Field(description="`url`: an HTTPS URL or a data URI.")


def _refuse_own_id(file_id: Any) -> Any:
    """Raise ValueError for the id of a file of POST /files: the provider does not know it."""
    if isinstance(file_id, str) and is_id("file_", file_id):
        raise ValueError("files that were uploaded here cannot be named: send a data URI or a URL")
    return file_id


FileId = Annotated[Any, AfterValidator(_refuse_own_id)]


class FileContent(OpenBody):
    """The content of a file, or its id at the provider."""

    file_id: FileId = Field(None, description="The id of a file at the provider.")


class FilePart(OpenBody):
    """A file."""

    type: Literal["file"] = Field(description="The kind of the part.")
    file: FileContent = Field(description="`filename` and `file_data`: a URL or a data URI.")


class DocumentPart(OpenBody):
    """Anthropic's form of a file, which OpenRouter's guide shows too."""

    type: Literal["document"] = Field(description="The kind of the part.")
    source: FileContent = Field(description="The content of the file.")


class NativePart(OpenBody):
    """A block in the form of one wire, which only its endpoints read."""

    type: Literal["native"] = Field(description="The kind of the part.")
    wire: Literal["anthropic"] = Field(description="The wire.")
    block: dict[str, Any] = Field(description="The block, e.g. a `search_result`.")
    instead: list[TextPart] | None = Field(
        None, description="The text for other endpoints; without it they are not used."
    )


class RefusalPart(OpenBody):
    """A refusal of an earlier answer."""

    type: Literal["refusal"] = Field(description="The kind of the part.")
    refusal: str = Field(description="The text of the refusal.")


ContentPart = Annotated[
    TextPart
    | ImagePart
    | AudioPart
    | VideoPart
    | FilePart
    | DocumentPart
    | NativePart
    | RefusalPart,
    Field(discriminator="type"),
]
Content = str | list[ContentPart]


class FunctionCall(OpenBody):
    """A call of a function."""

    name: str = Field(description="The name of the function.")
    arguments: str = Field("", description="The arguments as JSON.")


class CustomCall(OpenBody):
    """A call of a custom tool, which takes any text."""

    name: str = Field(description="The name of the tool.")
    input: str = Field("", description="The text for the tool.")


class ToolCall(OpenBody):
    """A call of a tool."""

    id: str = Field(description="The id of the call.")
    type: Literal["function", "custom"] = Field("function", description="The kind of the tool.")
    function: FunctionCall | None = Field(None, description="The called function.")
    custom: CustomCall | None = Field(None, description="The called custom tool.")

    @model_validator(mode="after")
    def _check_kind(self) -> "ToolCall":
        if getattr(self, self.type) is None:
            raise ValueError(f"a tool call of type `{self.type}` needs a `{self.type}`")
        return self


class SystemMessage(OpenBody):
    """Instructions to the model."""

    role: Literal["system", "developer"] = Field(description="The author of the message.")
    content: Content = Field(description="The instructions.")


class UserMessage(OpenBody):
    """A message of the user."""

    role: Literal["user"] = Field(description="The author of the message.")
    content: Content = Field(description="The text, or parts of several kinds.")


class AssistantMessage(OpenBody):
    """An earlier answer of the model."""

    role: Literal["assistant"] = Field(description="The author of the message.")
    content: Content | None = Field(None, description="The text of the answer.")
    tool_calls: list[ToolCall] | None = Field(None, description="The tools that the model called.")


class ToolMessage(OpenBody):
    """The result of a tool call."""

    role: Literal["tool"] = Field(description="The author of the message.")
    content: Content = Field(description="The result.")
    tool_call_id: str = Field(description="The id of the call.")


class FunctionMessage(OpenBody):
    """OpenAI's deprecated form of a tool result."""

    role: Literal["function"] = Field(description="The author of the message.")
    name: str = Field(description="The name of the function.")
    content: str | None = Field(description="The result.")


Message = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage,
    Field(discriminator="role"),
]


MAX_PARTS = 50_000
"""The most messages, parts and tool calls of a body: checking more would delay other callers."""


def _check_number(messages: Any) -> Any:
    """Raise ValueError for too many messages, before each one is checked."""
    if isinstance(messages, list):
        within = (
            len(held)
            for message in messages
            if isinstance(message, dict)
            for held in (message.get("content"), message.get("tool_calls"))
            if isinstance(held, list)
        )
        if len(messages) + sum(within) > MAX_PARTS:
            raise ValueError(f"may have {MAX_PARTS:,} messages, parts and tool calls at most")
    return messages


Messages = Annotated[list[Message], Field(min_length=1), BeforeValidator(_check_number)]
