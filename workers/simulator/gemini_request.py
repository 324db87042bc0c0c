"""Reading of a call of `generateContent`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from workers.simulator.media import TOKENS
from workers.simulator.replies import count_tokens, genuine, inline, kind_of
from workers.simulator.wire import Attachment, Json, Request, Tool, invalid


def field(owner: Json, name: str) -> Any:
    """Return a field by its camelCase name, in camelCase or snake_case."""
    return owner[name] if name in owner else owner.get(snake(name))


def snake(name: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name)


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def json_schema(schema: Any) -> Any:
    """Return a schema with the types of JSON Schema: `OBJECT` is `object`."""
    if isinstance(schema, list):
        return [json_schema(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: value.lower() if key == "type" and isinstance(value, str) else json_schema(value)
        for key, value in schema.items()
    }


ATTACHMENT_TOKENS: Final = TOKENS
OUTPUTS: Final = ("output", "result", "error", "return_value")


def text_of(parts: Iterable[Json]) -> str:
    return "\n".join(part["text"] for part in parts if "text" in part and not part.get("thought"))


def attachments_of(parts: Iterable[Json]) -> tuple[Attachment, ...]:
    return tuple(each for each in map(_attachment, parts) if each)


def results_of(parts: Iterable[Json]) -> tuple[str, ...]:
    answers = [field(part, "functionResponse") for part in parts]
    return tuple(_response_text(answer["response"]) for answer in answers if answer)


def weight(part: Json) -> int:
    """Return the tokens of a part. Earlier thoughts are not counted."""
    if part.get("thought"):
        return 0
    if "text" in part:
        return count_tokens(part["text"])
    if _attachment(part):
        return ATTACHMENT_TOKENS
    return count_tokens(orjson.dumps(part).decode())


def _attachment(part: Json) -> Attachment | None:
    if data := field(part, "inlineData"):
        return inline(field(data, "mimeType"), data["data"])
    if file := field(part, "fileData"):
        address = field(file, "fileUri")
        return Attachment(kind_of(field(file, "mimeType") or ""), address)
    return None


def _response_text(response: Json) -> str:
    """Return the text of a function response: its only output, or all of it as JSON."""
    values: list[Any] = list(response.values())
    if len(values) == 1 and next(iter(response)) in OUTPUTS and isinstance(values[0], str):
        return values[0]
    return orjson.dumps(response).decode()


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
    """Read a call. Raises RefusedError, or any error of a wrong shape."""
    contents = _contents(call)
    config = field(call, "generationConfig") or {}
    last = _last_user_parts(contents)
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


def _last_user_parts(contents: list[Json]) -> list[Json]:
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
    """Return the function that must be called, and those that may be called."""
    config = field(field(call, "toolConfig") or {}, "functionCallingConfig") or {}
    mode = str(config.get("mode") or "AUTO").upper()
    if mode == "NONE":
        return None, ()
    allowed = field(config, "allowedFunctionNames") if mode in ("ANY", "VALIDATED") else None
    tools = [tool for tool in _read_declarations(call) if not allowed or tool.name in allowed]
    return ("" if mode == "ANY" else None), tuple(tools)


def _read_declarations(call: Json) -> Iterator[Tool]:
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
