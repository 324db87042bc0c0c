"""A line of a file of prompts: a JSON string, or an object with `prompt` or `messages`. Pure."""

from typing import Any

from broker.completion import Json

MAX_CUSTOM_ID = 512


class BadLineError(Exception):
    """A line that cannot be submitted, and why."""


def request_of(value: Any, number: int, model: str | None) -> Json:
    """Return the request that a line asks for; `model` is for one that names none.

    Raises BadLineError.
    """
    if isinstance(value, str):
        value = {"prompt": value}
    if not isinstance(value, dict):
        raise BadLineError("neither a JSON string (a prompt) nor an object")
    custom_id = value.pop("custom_id", None)
    body = _body(value, model)
    return request(f"line-{number}" if custom_id is None else custom_id, body)


def request(custom_id: Any, body: Json) -> Json:
    """Return a request in OpenAI's form. Raises BadLineError."""
    asked = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return checked(asked)


def checked(asked: Json) -> Json:
    """Return a request whose answer can be told from others'. Raises BadLineError."""
    custom_id = asked.get("custom_id")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_CUSTOM_ID:
        raise BadLineError(f"custom_id must be a string of 1 to {MAX_CUSTOM_ID} characters")
    return asked


def with_model(body: Json, model: str | None) -> Json:
    """Return a body that names a model. Raises BadLineError."""
    if body.get("model") or body.get("models"):
        return body
    if model is None:
        raise BadLineError("names no model, and there is no -m")
    return body | {"model": model}


def _body(value: Json, model: str | None) -> Json:
    # nobody watches a line: a stream would only cost an event log
    left_out = {"prompt", "messages", "stream", "stream_options"}
    body: Json = {"messages": _messages(value)}
    body |= {name: part for name, part in value.items() if name not in left_out}
    return with_model(body, model)


def _messages(value: Json) -> list[Any]:
    prompt, messages = value.get("prompt"), value.get("messages")
    if (prompt is None) == (messages is None):
        raise BadLineError("give it either `prompt` or `messages`")
    if prompt is not None:
        if not isinstance(prompt, str) or not prompt.strip():
            raise BadLineError("`prompt` must be a string with something in it")
        return [{"role": "user", "content": prompt}]
    if not isinstance(messages, list) or not messages:
        raise BadLineError("`messages` must be a list with at least one message")
    return messages
