"""Items of the input of POST /responses."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from broker.requests.bodies.messages import FileId, OpenBody


class InputText(OpenBody):
    """A text, from either side."""

    type: Literal["input_text", "output_text", "summary_text", "reasoning_text"] = Field(
        description="The kind of the part."
    )
    text: str = Field(description="The text.")


class InputImage(OpenBody):
    """An image."""

    type: Literal["input_image"] = Field(description="The kind of the part.")
    image_url: str | None = Field(None, description="An HTTPS URL or a data URI.")
    file_id: FileId = Field(None, description="Not accepted: send `image_url`.")
    detail: str | None = Field(None, description="The resolution: `auto`, `low` or `high`.")


class InputFile(OpenBody):
    """A file."""

    type: Literal["input_file"] = Field(description="The kind of the part.")
    file_data: str | None = Field(None, description="The content, as a data URI or in base64.")
    file_url: str | None = Field(None, description="An HTTPS URL.")
    file_id: FileId = Field(None, description="The id of a file at the provider.")
    filename: str | None = Field(None, description="The name of the file.")


class InputAudio(OpenBody):
    """Sound."""

    type: Literal["input_audio"] = Field(description="The kind of the part.")
    input_audio: dict[str, Any] = Field(description="`data` (base64) and `format`, e.g. `wav`.")


class Refusal(OpenBody):
    """A refusal of an earlier answer."""

    type: Literal["refusal"] = Field(description="The kind of the part.")
    refusal: str = Field(description="The text of the refusal.")


Part = Annotated[
    InputText | InputImage | InputFile | InputAudio | Refusal, Field(discriminator="type")
]
Content = str | list[Part]


class MessageItem(OpenBody):
    """A message of either side. `type` may be left out."""

    type: Literal["message"] = Field("message", description="The kind of the item.")
    id: str | None = Field(None, description="The id of the item.")
    role: Literal["user", "assistant", "system", "developer"] = Field(
        description="The author of the message."
    )
    content: Content = Field(description="The text, or parts of several kinds.")


class FunctionCallItem(OpenBody):
    """A call of a function in an earlier answer."""

    type: Literal["function_call"] = Field(description="The kind of the item.")
    id: str | None = Field(None, description="The id of the item.")
    call_id: Annotated[str, Field(min_length=1)] = Field(description="The id of the call.")
    name: Annotated[str, Field(min_length=1)] = Field(description="The name of the function.")
    namespace: str | None = Field(None, description="The namespace of the tool.")
    arguments: str = Field(description="The arguments as JSON.")


class FunctionCallOutputItem(OpenBody):
    """The result of a call of a function."""

    type: Literal["function_call_output"] = Field(description="The kind of the item.")
    id: str | None = Field(None, description="The id of the item.")
    call_id: Annotated[str, Field(min_length=1)] = Field(description="The id of the call.")
    output: Content = Field(description="The result.")


class CustomCallItem(OpenBody):
    """A call of a custom tool in an earlier answer."""

    type: Literal["custom_tool_call"] = Field(description="The kind of the item.")
    id: str | None = Field(None, description="The id of the item.")
    call_id: Annotated[str, Field(min_length=1)] = Field(description="The id of the call.")
    name: Annotated[str, Field(min_length=1)] = Field(description="The name of the tool.")
    namespace: str | None = Field(None, description="The namespace of the tool.")
    input: str = Field(description="The text that the model gave to the tool.")


class CustomCallOutputItem(OpenBody):
    """The result of a call of a custom tool."""

    type: Literal["custom_tool_call_output"] = Field(description="The kind of the item.")
    id: str | None = Field(None, description="The id of the item.")
    call_id: Annotated[str, Field(min_length=1)] = Field(description="The id of the call.")
    output: Content = Field(description="The result.")


class ToolSearchCallItem(OpenBody):
    """A search for tools in an earlier answer, which the client ran."""

    type: Literal["tool_search_call"] = Field(description="The kind of the item.")
    id: str | None = Field(None, description="The id of the item.")
    call_id: Annotated[str, Field(min_length=1)] = Field(description="The id of the call.")
    arguments: dict[str, Any] | str = Field(description="The arguments of the search.")


class ToolSearchOutputItem(OpenBody):
    """The tools that a search has found. The model may call them from now on."""

    type: Literal["tool_search_output"] = Field(description="The kind of the item.")
    id: str | None = Field(None, description="The id of the item.")
    call_id: Annotated[str, Field(min_length=1)] = Field(description="The id of the call.")
    tools: Annotated[list[dict[str, Any]], Field(max_length=10_000)] = Field(
        description="The tools, as in `tools` of a request."
    )


class ReasoningItem(OpenBody):
    """The reasoning of an earlier answer."""

    type: Literal["reasoning"] = Field(description="The kind of the item.")
    id: str | None = Field(None, description="The id of the item.")
    summary: list[InputText] = Field(default_factory=list, description="Its summary.")
    content: list[InputText] | None = Field(None, description="Its text.")
    encrypted_content: str | None = Field(
        None, description="The reasoning that only the provider can read."
    )


class ReferenceItem(OpenBody):
    """An item of an earlier response."""

    type: Literal["item_reference"] | None = Field(None, description="The kind of the item.")
    id: Annotated[str, Field(min_length=1)] = Field(description="The id of the item.")


class OtherItem(OpenBody):
    """An item of a kind that is refused by its name."""

    type: Annotated[str, Field(min_length=1)] = Field(description="The kind of the item.")


def find_kind(item: Mapping[str, Any]) -> Any:
    """Return the `type` of an item; a message and a reference need none."""
    kind = item.get("type")
    if kind is None:
        return "item_reference" if "id" in item and "role" not in item else "message"
    return kind


def _find_tag(item: Any) -> str:
    kind = find_kind(item) if isinstance(item, dict) else "message"
    return kind if isinstance(kind, str) and kind in KINDS else "other"


KINDS = frozenset({
    "message", "function_call", "function_call_output", "custom_tool_call",
    "custom_tool_call_output", "reasoning", "item_reference", "tool_search_call",
    "tool_search_output",
})  # fmt: skip
"""The kinds of items that can be translated."""

InputItem = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[FunctionCallItem, Tag("function_call")]
    | Annotated[FunctionCallOutputItem, Tag("function_call_output")]
    | Annotated[CustomCallItem, Tag("custom_tool_call")]
    | Annotated[CustomCallOutputItem, Tag("custom_tool_call_output")]
    | Annotated[ToolSearchCallItem, Tag("tool_search_call")]
    | Annotated[ToolSearchOutputItem, Tag("tool_search_output")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[ReferenceItem, Tag("item_reference")]
    | Annotated[OtherItem, Tag("other")],
    Discriminator(_find_tag),
]
