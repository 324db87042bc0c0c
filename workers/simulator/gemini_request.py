"""A call of `generateContent`, understood."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from workers.simulator.gemini_parts import attachments_of, results_of, text_of, weight
from workers.simulator.gemini_spelling import camel, field, json_schema
from workers.simulator.requests import Json, Request, Tool, invalid
from workers.simulator.signatures import genuine

FIELDS: Final = frozenset(
    {
        "cachedContent",
        "contents",
        "generationConfig",
        "labels",
        "model",
        "safetySettings",
        "serviceTier",
        "store",
        "systemInstruction",
        "toolConfig",
        "tools",
    }
)
ROLES: Final = (None, "user", "model", "function")
UNSIGNED: Final = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")


def understand(model: str, call: Json, *, stream: bool) -> Request:
    """Raises RefusedError, and what a wrong shape raises."""
    contents = _contents(call)
    config = field(call, "generationConfig") or {}
    last = _last_said(contents)
    thinking = field(config, "thinkingConfig") or {}
    modalities = field(config, "responseModalities") or ()
    shown = bool(field(thinking, "includeThoughts"))
    forced, tools = _tools(call)
    return Request(
        model=model,
        stream=stream,
        text=text_of(last),
        tokens=sum(map(weight, _whole_prompt(call, contents))),
        attachments=attachments_of(last),
        tools=tools,
        forced_tool=forced,
        tool_results=results_of(contents[-1]["parts"]),
        format=_format(config),
        max_tokens=_limit(config),
        thoughts=shown,
        images="IMAGE" in modalities,
        detail=shown,
    )


def _contents(call: Json) -> list[Json]:
    for name in call:
        if camel(name) not in FIELDS:
            raise invalid(f'Invalid JSON payload received. Unknown name "{name}"')
    contents: list[Json] = call.get("contents") or []
    if not contents:
        raise invalid("* GenerateContentRequest.contents: contents is not specified")
    for content in contents:
        if content.get("role") not in ROLES:
            raise invalid("Please use a valid role: user, model.")
        for part in content["parts"]:
            _check_signature(part)
    return contents


def _check_signature(part: Json) -> None:
    signature = field(part, "thoughtSignature")
    if signature and signature not in UNSIGNED and not genuine(signature):
        raise invalid("Thought signature is not valid.")


def _limit(config: Json) -> int | None:
    limit = field(config, "maxOutputTokens")
    return None if limit is None else int(limit)


def _last_said(contents: list[Json]) -> list[Json]:
    """Return the parts of the last user content that has more than function responses."""
    for content in reversed(contents):
        parts = [each for each in content["parts"] if not field(each, "functionResponse")]
        if content.get("role") != "model" and parts:
            return parts
    return []


def _whole_prompt(call: Json, contents: list[Json]) -> Iterator[Json]:
    yield from (field(call, "systemInstruction") or {"parts": ()})["parts"]
    for content in contents:
        yield from content["parts"]


def _tools(call: Json) -> tuple[str | None, tuple[Tool, ...]]:
    """Return which function has to be called, and those that may be."""
    config = field(field(call, "toolConfig") or {}, "functionCallingConfig") or {}
    mode = str(config.get("mode") or "AUTO").upper()
    if mode == "NONE":
        return None, ()
    allowed = field(config, "allowedFunctionNames") if mode in ("ANY", "VALIDATED") else None
    tools = [tool for tool in _declared(call) if not allowed or tool.name in allowed]
    return ("" if mode == "ANY" else None), tuple(tools)


def _declared(call: Json) -> Iterator[Tool]:
    offered = call.get("tools") or ()
    for group in (offered,) if isinstance(offered, Mapping) else offered:
        for each in field(group, "functionDeclarations") or ():
            schema = field(each, "parametersJsonSchema") or each.get("parameters") or {}
            yield Tool(each["name"], {"type": "object", **json_schema(schema)})


def _format(config: Json) -> Any:
    if field(config, "responseMimeType") != "application/json":
        return "text"
    schema = field(config, "responseJsonSchema") or field(config, "responseSchema")
    return json_schema(schema) if schema else "json"
