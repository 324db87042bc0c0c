"""A chat body's `response_format` in Anthropic's ways: a compiled schema, a forced tool, or words.

Source: platform.claude.com/docs/en/build-with-claude/structured-outputs.
"""

from typing import Any

from broker.completion import Json
from workers.adapters.anthropic.models import Model
from workers.adapters.anthropic.quirks import Quirk
from workers.adapters.anthropic.schema import closed, expressible
from workers.adapters.anthropic.tools import forces

ANSWER_TOOL = "structured_response"
"""The forced tool whose input is the answer."""

_INSTRUCTION = "Respond with a single valid JSON object and nothing else: no prose, no code fence."


def wanted_schema(body: Json) -> Json | None:
    """Return the schema a chat body wants the answer to follow."""
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return None
    held = wanted.get("json_schema")
    schema = held.get("schema") if isinstance(held, dict) else None
    return schema if isinstance(schema, dict) else None


def answers_by_tool(body: Json, tool: Any) -> bool:
    """Whether a call of `tool` is the answer itself, because we forced it."""
    return tool == ANSWER_TOOL and wanted_schema(body) is not None


def set_format(sent: Json, body: Json, model: Model, quirks: frozenset[str]) -> None:
    """Ask for the wanted format in `sent`, whose tools and system blocks are already set."""
    schema = wanted_schema(body)
    if schema is None:
        wanted = body.get("response_format")
        if isinstance(wanted, dict) and wanted.get("type") in ("json_object", "json_schema"):
            sent["system"] = [*sent.get("system", ()), {"type": "text", "text": _INSTRUCTION}]
    elif Quirk.FORCED_TOOL_SCHEMA in quirks or not model.takes_schema or not expressible(schema):
        _force_tool(sent, body, schema)
    else:
        sent["output_config"] = {"format": {"type": "json_schema", "schema": closed(schema)}}


def _force_tool(sent: Json, body: Json, schema: Json) -> None:
    held = body["response_format"]["json_schema"]
    description = held.get("description") or "Give the final answer in the form asked for."
    tool = {"name": ANSWER_TOOL, "description": description, "input_schema": schema}
    choice = sent.get("tool_choice")
    others = sent.get("tools", [])
    if forces(choice):
        return  # the caller insists on a tool of its own: this turn brings no answer yet
    sent["tools"] = [*others, tool]
    if others and (choice is None or choice["type"] == "auto"):
        sent["tool_choice"] = {**(choice or {}), "type": "any"}
    else:
        sent["tool_choice"] = {"type": "tool", "name": ANSWER_TOOL}
