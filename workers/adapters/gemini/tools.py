"""Tools and the choice between them.

Sources: ai.google.dev/gemini-api/docs/function-calling, ai.google.dev/api/caching#Tool and
#FunctionCallingConfig.
"""

from typing import Any

from broker.completion import Json
from workers.adapters.gemini.models import Model
from workers.adapters.gemini.schema import openapi_schema, without_dialect
from workers.adapters.json_shapes import held

_MODES = {"none": "NONE", "required": "ANY"}


def read_tools(body: Json, model: Model) -> list[Json]:
    """Return the tools a chat body offers; Google's own (`{"googleSearch": {}}`) pass."""
    given = _objects(body.get("tools"))
    declared = [_declaration(function, model) for tool in given if (function := _function(tool))]
    own = [tool for tool in given if tool and "type" not in tool]
    return [*([{"functionDeclarations": declared}] if declared else []), *own]


def read_choice(body: Json, model: Model) -> Json | None:
    """Return the `functionCallingConfig`, or None where the wire's default says the same."""
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        return _object_choice(choice)
    if isinstance(choice, str) and choice in _MODES:
        return {"mode": _MODES[choice]}
    functions = [_function(tool) or {} for tool in _objects(body.get("tools"))]
    strict = bool(functions) and all(function.get("strict") is True for function in functions)
    return {"mode": "VALIDATED"} if strict and model.takes_json_schema else None


def _object_choice(choice: Json) -> Json | None:
    if choice.get("type") == "allowed_tools":
        # OpenAI nests what is allowed; its Responses API does not, and callers mix them up.
        nested = choice.get("allowed_tools")
        allowed = nested if isinstance(nested, dict) else choice
        names = [held(tool)[1].get("name") for tool in _objects(allowed.get("tools"))]
        mode = "ANY" if allowed.get("mode") == "required" else "VALIDATED"
        return {"mode": mode, "allowedFunctionNames": names}
    function = choice.get("function") or choice.get("custom")
    if isinstance(function, dict) and function.get("name"):
        return {"mode": "ANY", "allowedFunctionNames": [function["name"]]}
    return None


def _objects(entries: Any) -> list[Json]:
    found = entries if isinstance(entries, list) else []
    return [entry for entry in found if isinstance(entry, dict)]


def _function(tool: Json) -> Json | None:
    if isinstance(custom := tool.get("custom"), dict) and custom.get("name"):
        text = {"type": "object", "properties": {"input": {"type": "string"}}}
        return {**custom, "parameters": {**text, "required": ["input"]}}
    function = tool.get("function")
    return function if isinstance(function, dict) and function.get("name") else None


def _declaration(function: Json, model: Model) -> Json:
    declared: Json = {"name": function["name"]}
    if description := function.get("description"):
        declared["description"] = description
    schema = function.get("parameters")
    # An object without properties is refused: a function without parameters has no schema.
    if isinstance(schema, dict) and any(schema.get(n) for n in ("properties", "$ref", "anyOf")):
        if model.takes_json_schema:
            declared["parametersJsonSchema"] = without_dialect(schema)
        else:
            declared["parameters"] = openapi_schema(schema)
    return declared
