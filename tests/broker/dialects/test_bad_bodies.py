"""A body of a dialect with anything wrong in it is translated, or refused with the field."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from broker.dialects.base import TranslatedRequest
from broker.dialects.messages.request import translate_prompt
from broker.dialects.messages.request import translate_request as translate_message
from broker.dialects.responses.request import check_request
from broker.dialects.responses.request import translate_request as translate_response
from broker.errors import InvalidRequestError

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
PACKED = "waybill1.eJyLrlYqqSxIVbJSKkpNLM7Py8xL10vNSy6qLChJTVHSUUpJLEkESiYq1cYCAFNJDuA="
"""Reasoning as an answer has it: one encrypted detail."""
RESPONSE: dict[str, Any] = {
    "model": "acme/small",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": [
            {"type": "input_text", "text": "Hi"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}],
         "encrypted_content": PACKED},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "done"},
        {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "done"},
    ],
    "tools": [
        {"type": "function", "name": "f", "parameters": SCHEMA},
        {"type": "custom", "name": "g"},
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "h"}]},
    ],
    "tool_choice": {
        "type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}],
    },
    "text": {"format": {"type": "json_schema", "name": "s", "schema": SCHEMA}},
    "reasoning": {"effort": "low"},
    "include": ["reasoning.encrypted_content"],
    "metadata": {"a": "b"},
    "truncation": "auto",
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "model": "acme/small",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be brief."}],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "Hi"},
            {"type": "image", "source": {
                "type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo=",
            }},
            {"type": "search_result", "source": "s", "title": "t", "content": [
                {"type": "text", "text": "found"},
            ]},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm", "signature": "waybill.1.W10="},
            {"type": "tool_use", "id": "c", "name": "f", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c", "content": "done"},
        ]},
    ],
    "tools": [{"name": "f", "input_schema": SCHEMA}],
    "tool_choice": {"type": "tool", "name": "f"},
    "thinking": {"type": "disabled"},
    "metadata": {"user_id": "u"},
    "service_tier": "auto",
}  # fmt: skip
WRONG = (None, True, -1, 1.5, "", "x", [], [None], {}, {"type": "x"}, {"type": ["x"]})


def translate_checked(body: Any) -> TranslatedRequest:
    check_request(body)
    return translate_response(body)


DIALECTS = [
    (translate_checked, RESPONSE), (translate_message, MESSAGE), (translate_prompt, MESSAGE),
]  # fmt: skip


@pytest.mark.parametrize(("translate", "valid"), DIALECTS)
def test_each_part_that_is_wrong_is_translated_or_named(
    translate: Callable[[Any], TranslatedRequest], valid: Any
) -> None:
    translate(valid)
    unnamed = []
    for path in list_paths(valid):
        for wrong in WRONG:
            try:
                translate(replace(valid, path, wrong))
            except InvalidRequestError as error:
                if not error.param:
                    unnamed.append((path, wrong, error.message))
    assert not unnamed


def list_paths(value: Any) -> Iterator[tuple[Any, ...]]:
    held = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in held:
        yield (key,)
        if isinstance(part, dict | list):
            yield from ((key, *path) for path in list_paths(part))


def replace(valid: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    changed = copy.deepcopy(valid)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = wrong
    return changed
