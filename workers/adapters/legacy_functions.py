"""OpenAI's form of tools before `tools`: `functions` and `function_call`, as tools.

OpenAI and Azure still take the form as it is; no other wire ever knew it.
"""

from typing import Any

from broker.completion import Json
from workers.adapters.json_shapes import objects


def with_tools(body: Json) -> Json:
    """Return a body whose `functions` are tools; `body` itself is left as it was."""
    functions = objects(body.get("functions"))
    if not functions or body.get("tools"):
        return body
    told = {
        name: value for name, value in body.items() if name not in ("functions", "function_call")
    }
    told["tools"] = [{"type": "function", "function": function} for function in functions]
    told["parallel_tool_calls"] = False  # the form has room for one call only
    if choice := _choice(body.get("function_call")):
        told["tool_choice"] = choice
    return told


def _choice(given: Any) -> Any:
    """Return a `function_call` that a request asks for as a `tool_choice`."""
    if isinstance(given, dict) and given.get("name"):
        return {"type": "function", "function": {"name": given["name"]}}
    return given if given in ("none", "auto") else None
