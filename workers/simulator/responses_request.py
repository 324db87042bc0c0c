"""Reading and checks of a call of the Responses API."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from workers.simulator.replies import count_tokens, genuine, read_link
from workers.simulator.wire import Attachment, ErrorReply, Json, RefusedError, Request, Tool

ENCRYPTED: Final = "reasoning.encrypted_content"
PREFIX: Final = "gAAAA"  # of encrypted content
LEAST_OUTPUT: Final = 16
ATTACHMENT_TOKENS: Final = 85

FIELDS: Final = frozenset({
    "background", "context_management", "conversation", "include", "input", "instructions",
    "max_output_tokens", "max_tool_calls", "metadata", "model", "parallel_tool_calls",
    "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_retention", "reasoning",
    "safety_identifier", "service_tier", "store", "stream", "stream_options", "temperature",
    "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user",
})  # fmt: skip
INCLUDABLE: Final = frozenset({
    "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
    "message.input_image.image_url", "computer_call_output.output.image_url",
    "code_interpreter_call.outputs", ENCRYPTED, "message.output_text.logprobs",
})  # fmt: skip
CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
OUTPUTS: Final = {f"{kind}_output": kind for kind in CALLS}
SAID: Final = ("input_text", "input_image", "input_file")
ANSWERED: Final = ("output_text", "refusal")
PARTS: Final = {"user": SAID, "system": SAID, "developer": SAID, "assistant": ANSWERED}


def reject(param: str, message: str, code: str | None = None, status: int = 400) -> RefusedError:
    """Return the refusal of a parameter."""
    return RefusedError(ErrorReply(status, "bad_request", message, param=param, code=code))


@dataclass(frozen=True, slots=True)
class Wanted:
    """The fields of a call that only this wire reads."""

    call: Json
    custom: frozenset[str]  # names of custom tools

    @property
    def stores(self) -> bool:
        return self.call.get("store") is not False

    @property
    def encrypts(self) -> bool:
        return ENCRYPTED in (self.call.get("include") or ())

    @property
    def summarises(self) -> bool:
        return bool((self.call.get("reasoning") or {}).get("summary"))


def check(call: Json) -> None:
    """Raise RefusedError where a rule is broken."""
    for name in call:
        if name not in FIELDS:
            raise reject(name, f"Unknown parameter: '{name}'.", "unknown_parameter")
    limit = call.get("max_output_tokens")
    if limit is not None and (not isinstance(limit, int) or limit < LEAST_OUTPUT):
        raise reject(
            "max_output_tokens",
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= "
            f"{LEAST_OUTPUT}, but got {limit} instead.",
            "integer_below_min_value",
        )
    for name in call.get("include") or ():
        if name not in INCLUDABLE:
            raise reject("include", f"Invalid value: '{name}'.", "invalid_value")
    if call.get("background") and call.get("store") is False:
        raise reject("background", "Background mode requires `store` to be true.")
    _check_tools(call)
    _check_format(call)
    _check_items(call)


def _check_tools(call: Json) -> None:
    for number, tool in enumerate(call.get("tools") or ()):
        where = f"tools[{number}]"
        if tool["type"] in ("function", "custom") and not isinstance(tool.get("name"), str):
            raise _missing(f"{where}.name")
        if tool["type"] == "function" and "parameters" not in tool:
            raise _missing(f"{where}.parameters")
    choice = call.get("tool_choice")
    if choice is not None and not call.get("tools"):
        raise reject("tool_choice", "Tool choice is only allowed when 'tools' are specified.")
    if isinstance(choice, Mapping):
        named = choice["type"] in ("function", "custom")
        if named and not isinstance(choice.get("name"), str):
            raise _missing("tool_choice.name")


def _check_format(call: Json) -> None:
    form = (call.get("text") or {}).get("format") or {"type": "text"}
    match form["type"]:
        case "json_schema":
            for name in ("name", "schema"):
                if name not in form:
                    raise _missing(f"text.format.{name}")
        case "json_object" if "json" not in orjson.dumps(call.get("input")).decode().lower():
            raise reject(
                "input",
                "Response input messages must contain the word 'json' in some form to use "
                "'text.format' of type 'json_object'.",
            )


def _check_items(call: Json) -> None:
    given = call.get("input")
    if isinstance(given, str):
        return
    if not isinstance(given, list) or not given:
        raise _missing("input")
    open_calls: dict[str, str] = {}  # kinds by id
    for number, item in enumerate(given):
        _check_item(f"input[{number}]", item, call, open_calls)
    for call_id, kind in open_calls.items():
        what = "function" if kind == "function_call" else "custom tool"
        raise reject("input", f"No tool output found for {what} call {call_id}.")


def _check_item(where: str, item: Json, call: Json, open_calls: dict[str, str]) -> None:
    kind = item.get("type", "message")
    if kind == "message":
        _check_message(where, item)
    elif kind in CALLS:
        for name in ("call_id", "name", CALLS[kind]):
            if not isinstance(item.get(name), str):
                raise _missing(f"{where}.{name}")
        open_calls[item["call_id"]] = kind
    elif kind in OUTPUTS:
        if open_calls.pop(item["call_id"], None) != OUTPUTS[kind]:
            message = f"No tool call found for {kind.replace('_', ' ')} with call_id "
            raise reject("input", f"{message}{item['call_id']}.")
        if not isinstance(item["output"], str):
            _check_parts(f"{where}.output", item["output"], SAID)
    elif kind == "reasoning":
        _check_reasoning(where, item, call)
    elif not kind.endswith("_call"):
        raise reject(f"{where}.type", f"Invalid value: '{kind}'.", "invalid_value")


def _check_message(where: str, item: Json) -> None:
    role = item.get("role")
    if role not in PARTS:
        raise reject(f"{where}.role", f"Invalid value: '{role}'.", "invalid_value")
    if not isinstance(item["content"], str):
        _check_parts(f"{where}.content", item["content"], PARTS[role])


def _check_parts(where: str, parts: list[Json], allowed: tuple[str, ...]) -> None:
    for number, part in enumerate(parts):
        if part["type"] not in allowed:
            values = " and ".join(f"'{each}'" for each in allowed)
            message = f"Invalid value: '{part['type']}'. Supported values are: {values}."
            raise reject(f"{where}[{number}]", message, "invalid_value")


def _check_reasoning(where: str, item: Json, call: Json) -> None:
    if not isinstance(item.get("summary"), list):
        raise _missing(f"{where}.summary")
    data = item.get("encrypted_content")
    if data is not None:
        if not (data.startswith(PREFIX) and genuine(data.removeprefix(PREFIX))):
            raise reject("input", f"The encrypted content {data[:8]}... could not be verified.")
    elif call.get("store") is False:
        raise reject(
            "input",
            f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is "
            "set to false.",
            status=404,
        )


def _missing(param: str) -> RefusedError:
    return reject(param, f"Missing required parameter: '{param}'.", "missing_required_parameter")


def understand(call: Json) -> Request:
    """Return the request. Raises any error of a wrong shape."""
    items = _items(call)
    said = [item for item in items if item.get("role") == "user"]
    last = _parts(said[-1]["content"]) if said else []
    tools, choice = list(call.get("tools") or ()), call.get("tool_choice")
    kinds = [tool["type"] for tool in tools]
    return Request(
        model=call["model"],
        stream=bool(call.get("stream")),
        text=_text(last),
        tokens=sum(map(_weigh, items)) + count_tokens(call.get("instructions") or ""),
        attachments=tuple(_attachments(last)),
        tools=tuple(_tool(tool) for tool in _choosable(tools, choice)),
        forced_tool=_read_forced_tool(choice),
        tool_results=_tool_results(items),
        format=_format(call),
        max_tokens=call.get("max_output_tokens"),
        thoughts=bool((call.get("reasoning") or {}).get("summary")),
        images="image_generation" in kinds,
        background=bool(call.get("background")),
        detail=Wanted(call, frozenset(tool["name"] for tool in tools if tool["type"] == "custom")),
    )


def _items(call: Json) -> list[Json]:
    given = call["input"]
    return [{"role": "user", "content": given}] if isinstance(given, str) else list(given)


def _parts(content: Any) -> list[Json]:
    return [{"type": "input_text", "text": content}] if isinstance(content, str) else list(content)


def _text(parts: list[Json]) -> str:
    return "\n".join(part["text"] for part in parts if "text" in part)


def _attachments(parts: list[Json]) -> Iterator[Attachment]:
    for part in parts:
        if part["type"] == "input_image":
            yield read_link(part.get("image_url") or part["file_id"], "image")
        elif part["type"] == "input_file":
            address = part.get("file_data") or part.get("file_url") or part["file_id"]
            yield read_link(address, "document")


def _weigh(item: Json) -> int:
    """Return the tokens of an item. Earlier reasoning is not counted."""
    kind = item.get("type", "message")
    if kind in CALLS:
        return count_tokens(item["name"] + item[CALLS[kind]])
    content = item.get("content") if kind == "message" else item.get("output")
    parts = _parts(content or "")
    return count_tokens(_text(parts)) + ATTACHMENT_TOKENS * len(tuple(_attachments(parts)))


def _choosable(tools: list[Json], choice: Any) -> Iterator[Json]:
    """Yield the tools of the caller that the model may call."""
    if choice == "none":
        return
    names = None
    if isinstance(choice, Mapping) and choice["type"] == "allowed_tools":
        names = [tool.get("name") for tool in choice["tools"]]
    for tool in tools:
        is_callers = tool["type"] in ("function", "custom")
        if is_callers and (names is None or tool["name"] in names):
            yield tool


def _tool(tool: Json) -> Tool:
    if tool["type"] == "custom":
        return Tool(tool["name"], {"type": "string"})
    return Tool(tool["name"], {"type": "object", **(tool["parameters"] or {})})


def _read_forced_tool(choice: Any) -> str | None:
    if isinstance(choice, Mapping):
        if choice["type"] == "allowed_tools":
            return "" if choice["mode"] == "required" else None
        return str(choice["name"]) if "name" in choice else None
    return "" if choice == "required" else None


def _tool_results(items: list[Json]) -> tuple[str, ...]:
    results: list[str] = []
    for item in reversed(items):
        if item.get("type") not in OUTPUTS:
            break
        results.insert(0, _text(_parts(item["output"])))
    return tuple(results)


def _format(call: Json) -> Any:
    form = (call.get("text") or {}).get("format") or {"type": "text"}
    if form["type"] == "text":
        return "text"
    return form["schema"] if form["type"] == "json_schema" else "json"
