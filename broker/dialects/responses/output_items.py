"""The items of an answer's output: reasoning, a message, calls of tools, and images.

The order is the one of a chat message: reasoning, text, calls, images. A stream shows its items in
the order in which they begin, which differs only for a model that reasons or speaks after a call. A
stored response has the order of its stream (`api/responses/stored.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from broker.completion import Json
from broker.dialects.base import DialectJob
from broker.dialects.responses import ids, reasoning
from broker.dialects.responses.tool_names import CLIENT, ToolNames, list_offered

COMPLETED, INCOMPLETE, IN_PROGRESS = "completed", "incomplete", "in_progress"


@dataclass(frozen=True, slots=True)
class OutputStyle:
    """The ids and forms of the items of one attempt's answer, as the caller's body says."""

    job_id: str
    attempt: int
    names: ToolNames
    as_summary: bool  # reasoning is shown as its summary

    @classmethod
    def of(cls, job: DialectJob, attempt: int) -> "OutputStyle":
        options = job.body.get("reasoning")
        options = options if isinstance(options, dict) else {}
        return cls(
            job.id,
            attempt,
            ToolNames(list_offered(job.body)),
            as_summary=bool(options.get("summary") or options.get("generate_summary")),
        )

    def id(self, prefix: str, index: int = 0) -> str:
        return ids.item_id(prefix, self.job_id, self.attempt, index)


def render_output(choice: Json, style: OutputStyle, status: str) -> list[Json]:
    """Return the items of a choice of a chat completion; `status` is that of the last item."""
    message: Json = choice.get("message") or {}
    early, late = render_reasoning(message, style)
    items = list(early)
    calls = [
        render_call(call, index, style)
        for index, call in enumerate(message.get("tool_calls") or ())
    ]
    images = [
        render_image(image, index, style) for index, image in enumerate(message.get("images") or ())
    ]
    if has_message(message) or not (items or calls or images or late):
        items.append(render_message(message, _read_logprobs(choice), style))
    items += [*calls, *images, *late]
    if "status" in items[-1]:
        items[-1]["status"] = status
    return items


def render_reasoning(message: Json, style: OutputStyle) -> tuple[list[Json], list[Json]]:
    """Return the reasoning items before the text, and those after the calls."""
    details = [each for each in message.get("reasoning_details") or () if isinstance(each, dict)]
    if not any(map(reasoning.read_text, details)) and (text := message.get("reasoning")):
        details.insert(0, {"type": reasoning.TEXT, "text": text})
    late = [each for each in details if reasoning.is_late(each)]
    early = reasoning.group_details([each for each in details if not reasoning.is_late(each)])
    groups = [*early, late] if late else early
    items = [
        reasoning.render_item(
            style.id("rs", index), group, as_summary=style.as_summary, status=COMPLETED
        )
        for index, group in enumerate(groups)
    ]
    return items[: len(early)], items[len(early) :]


def has_message(message: Json) -> bool:
    """Return whether a chat message has text for a message item."""
    return any(message.get(name) for name in ("content", "refusal", "annotations"))


def render_message(message: Json, logprobs: Sequence[Json], style: OutputStyle) -> Json:
    """Return the message item of a chat message."""
    refusal = message.get("refusal")
    content = []
    if read_content(message) or not refusal:
        content.append({
            "type": "output_text",
            "text": read_content(message),
            "annotations": [render_annotation(each) for each in message.get("annotations") or ()],
            "logprobs": list(logprobs),
        })  # fmt: skip
    if refusal:
        content.append({"type": "refusal", "refusal": refusal})
    return {
        "id": style.id("msg"),
        "type": "message",
        "role": "assistant",
        "status": COMPLETED,
        "content": content,
    }


def read_content(message: Json) -> str:
    """Return the text of a chat message."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def render_annotation(annotation: Any) -> Any:
    """Return a citation in its flat form; other kinds are the same in both APIs."""
    held = annotation.get("url_citation") if isinstance(annotation, dict) else None
    return {"type": "url_citation", **held} if isinstance(held, dict) else annotation


def render_call(call: Json, index: int, style: OutputStyle) -> Json:
    """Return the item of a tool call.

    A function that stands for a custom tool, or for a search, is shown as a call of this tool.
    """
    custom, function = call.get("custom"), call.get("function") or {}
    name = (custom or function).get("name") or ""
    tool = style.names.find(name)
    space = {"namespace": tool.namespace} if tool.namespace else {}
    extra = {"extra_content": call["extra_content"]} if call.get("extra_content") else {}
    if tool.is_search:
        return {
            "id": style.id("tsc", index),
            "type": "tool_search_call",
            "status": COMPLETED,
            "call_id": call.get("id"),
            "execution": CLIENT,
            "arguments": read_arguments(function),
            **extra,
        }
    if isinstance(custom, dict) or tool.kind == "custom":
        text = custom.get("input") if isinstance(custom, dict) else read_input(function)
        return {
            "id": style.id("ctc", index),
            "type": "custom_tool_call",
            "status": COMPLETED,
            "call_id": call.get("id"),
            "name": tool.name or name,
            **space,
            "input": text or "",
            **extra,
        }
    return {
        "id": style.id("fc", index),
        "type": "function_call",
        "status": COMPLETED,
        "call_id": call.get("id"),
        "name": tool.name or name,
        **space,
        "arguments": function.get("arguments") or "",
        **extra,
    }


def read_input(function: Json) -> str:
    """Return the input of a custom tool from the arguments of the function in its place."""
    arguments = function.get("arguments") or ""
    try:
        parsed = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return str(arguments)
    text = parsed.get("input") if isinstance(parsed, dict) else None
    return text if isinstance(text, str) else str(arguments)


def read_arguments(function: Json) -> Json:
    """Return the arguments of a function as an object; an empty one if they are none."""
    try:
        parsed = orjson.loads(function.get("arguments") or "{}")
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def render_image(image: Json, index: int, style: OutputStyle) -> Json:
    """Return the item of an image that the model made."""
    url = str((image.get("image_url") or {}).get("url") or "")
    return {
        "id": style.id("ig", index),
        "type": "image_generation_call",
        "status": COMPLETED,
        "result": url.partition(";base64,")[2] or url,
    }


def _read_logprobs(choice: Json) -> Sequence[Json]:
    return (choice.get("logprobs") or {}).get("content") or ()
