"""The content blocks of a Messages request. The models only check them."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from broker.requests.bodies.messages import OpenBody


class CachedBlockParam(OpenBody):
    """A block that may end a cached prefix."""

    cache_control: dict[str, Any] | None = Field(
        None, description="Marks the end of a cached prefix, e.g. `{type: ephemeral}`."
    )


class TextBlockParam(CachedBlockParam):
    """A text."""

    type: Literal["text"] = Field(description="The kind of the block.")
    text: str = Field(description="The text.")
    citations: list[dict[str, Any]] | None = Field(
        None, description="The citations of an earlier answer."
    )


class Base64Source(OpenBody):
    """Data in base64."""

    type: Literal["base64"] = Field(description="The kind of the source.")
    media_type: str = Field(description="The media type, e.g. `image/png`.")
    data: Annotated[str, Field(min_length=1)] = Field(description="The data in base64.")


class UrlSource(OpenBody):
    """An address."""

    type: Literal["url"] = Field(description="The kind of the source.")
    url: Annotated[str, Field(min_length=1)] = Field(description="An HTTPS URL.")


class FileSource(OpenBody):
    """A file in Anthropic's file store."""

    type: Literal["file"] = Field(description="The kind of the source.")
    file_id: Annotated[str, Field(min_length=1)] = Field(description="The id of the file.")


class TextSource(OpenBody):
    """A plain text."""

    type: Literal["text"] = Field(description="The kind of the source.")
    media_type: Literal["text/plain"] = Field("text/plain", description="The media type.")
    data: str = Field(description="The text.")


class ContentSource(OpenBody):
    """Blocks of text and images."""

    type: Literal["content"] = Field(description="The kind of the source.")
    content: "str | list[TextBlockParam | ImageBlockParam]" = Field(
        description="The text, or blocks."
    )


ImageSource = Annotated[Base64Source | UrlSource | FileSource, Discriminator("type")]
DocumentSource = Annotated[
    Base64Source | UrlSource | FileSource | TextSource | ContentSource, Discriminator("type")
]


class ImageBlockParam(CachedBlockParam):
    """An image."""

    type: Literal["image"] = Field(description="The kind of the block.")
    source: ImageSource = Field(description="The image.")


class DocumentBlockParam(CachedBlockParam):
    """A document: a PDF, a text, or blocks."""

    type: Literal["document"] = Field(description="The kind of the block.")
    source: DocumentSource = Field(description="The document.")
    title: str | None = Field(None, description="Its title.")
    context: str | None = Field(None, description="More about it, which is not cited.")
    citations: dict[str, Any] | None = Field(None, description="`enabled`: whether it is cited.")


class SearchResultBlockParam(CachedBlockParam):
    """A result of a search by the caller."""

    type: Literal["search_result"] = Field(description="The kind of the block.")
    source: str = Field(description="Where it is from.")
    title: str = Field(description="Its title.")
    content: list[TextBlockParam] = Field(description="Its text.")
    citations: dict[str, Any] | None = Field(None, description="`enabled`: whether it is cited.")


class ThinkingBlockParam(OpenBody):
    """The model's thinking in an earlier answer."""

    type: Literal["thinking"] = Field(description="The kind of the block.")
    thinking: str = Field(description="The thinking; empty where it is not shown.")
    signature: str = Field("", description="The signature, as it was in the answer.")


class RedactedThinkingBlockParam(OpenBody):
    """Encrypted thinking of an earlier answer."""

    type: Literal["redacted_thinking"] = Field(description="The kind of the block.")
    data: str = Field(description="The data, as it was in the answer.")


class ToolUseBlockParam(CachedBlockParam):
    """A call of a tool in an earlier answer."""

    type: Literal["tool_use"] = Field(description="The kind of the block.")
    id: Annotated[str, Field(min_length=1)] = Field(description="The id of the call.")
    name: Annotated[str, Field(min_length=1)] = Field(description="The name of the tool.")
    input: dict[str, Any] = Field(description="The arguments.")


class OtherBlockParam(OpenBody):
    """A block of another kind, e.g. of a server tool. Only Anthropic's endpoints read it."""

    type: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="The kind of the block, e.g. `web_search_tool_result`."
    )


def _find_tag(known: frozenset[str], value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) and kind in known else "other"


_RESULT_KINDS = frozenset({"text", "image", "document", "search_result"})

ResultBlockParam = Annotated[
    Annotated[TextBlockParam, Tag("text")]
    | Annotated[ImageBlockParam, Tag("image")]
    | Annotated[DocumentBlockParam, Tag("document")]
    | Annotated[SearchResultBlockParam, Tag("search_result")]
    | Annotated[OtherBlockParam, Tag("other")],
    Discriminator(lambda value: _find_tag(_RESULT_KINDS, value)),
]


class ToolResultBlockParam(CachedBlockParam):
    """The result of a tool call."""

    type: Literal["tool_result"] = Field(description="The kind of the block.")
    tool_use_id: Annotated[str, Field(min_length=1)] = Field(description="The id of the call.")
    content: str | list[ResultBlockParam] | None = Field(None, description="The text, or blocks.")
    is_error: bool | None = Field(None, description="Whether the tool failed.")


_KINDS = _RESULT_KINDS | {"thinking", "redacted_thinking", "tool_use", "tool_result"}

BlockParam = Annotated[
    Annotated[TextBlockParam, Tag("text")]
    | Annotated[ImageBlockParam, Tag("image")]
    | Annotated[DocumentBlockParam, Tag("document")]
    | Annotated[SearchResultBlockParam, Tag("search_result")]
    | Annotated[ThinkingBlockParam, Tag("thinking")]
    | Annotated[RedactedThinkingBlockParam, Tag("redacted_thinking")]
    | Annotated[ToolUseBlockParam, Tag("tool_use")]
    | Annotated[ToolResultBlockParam, Tag("tool_result")]
    | Annotated[OtherBlockParam, Tag("other")],
    Discriminator(lambda value: _find_tag(_KINDS, value)),
]
"""A block. One of another kind is checked by Anthropic's endpoints."""


class MessageParam(OpenBody):
    """A turn of the conversation."""

    role: Literal["user", "assistant", "system"] = Field(
        description="The author of the turn; `system` adds instructions within the conversation."
    )
    content: str | list[BlockParam] = Field(description="The text, or blocks.")
