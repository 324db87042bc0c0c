"""Merge presets into bodies, and make presets of bodies. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from broker.completion import Json
from broker.errors import InvalidRequestError

MARK = "@preset/"
SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

KEPT = frozenset(
    {"model", "models", "route", "routing", "provider", "plugins", "transforms", "temperature",
     "top_p", "top_k", "top_a", "min_p", "frequency_penalty", "presence_penalty",
     "repetition_penalty", "max_tokens", "max_completion_tokens", "stop", "seed", "logit_bias",
     "logprobs", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "response_format",
     "reasoning", "reasoning_effort", "verbosity", "modalities", "service_tier"}
)  # fmt: skip
"""Fields of a body that say how to answer; what is said (`messages`) and who asks are not kept."""


@dataclass(frozen=True, slots=True)
class PresetContent:
    """One version of a preset."""

    config: Json
    system_prompt: str | None = None


def find_slug(body: Json) -> str | None:
    """Return the slug of the preset that a body refers to. Raises InvalidRequestError."""
    named, model = body.get("preset"), body.get("model")
    slug = model.partition(MARK)[2] if isinstance(model, str) and MARK in model else None
    if named is None:
        return check_slug(slug, "model") if slug is not None else None
    if slug is not None and slug != named:
        raise InvalidRequestError(
            f"`model` names the preset {slug!r} and `preset` names {named!r}: name one.",
            param="preset",
        )
    return check_slug(named, "preset")


def check_slug(slug: object, param: str) -> str:
    """Return a valid slug. Raises InvalidRequestError for an invalid one."""
    if not isinstance(slug, str) or not SLUG.fullmatch(slug):
        raise InvalidRequestError(
            f"{param}: {slug!r} is no preset slug: a letter or digit, then up to 63 of a-z, 0-9, "
            "- and _.",
            param=param,
        )
    return slug


def capture(body: Json) -> PresetContent:
    """Return what a preset made of this body holds: its settings, and its leading system prompt."""
    model = body.get("model")
    if isinstance(model, str) and MARK in model:
        raise InvalidRequestError("A preset cannot be made of another preset.", param="model")
    config = {name: value for name, value in body.items() if name in KEPT and value is not None}
    return PresetContent(config, _system_prompt(body))


def merge(body: Json, content: PresetContent) -> Json:
    """Return a body with its preset: what the body says itself stands, field by field.

    A body with a system message of its own has that one, else it gets the preset's.
    """
    own = {name: value for name, value in body.items() if name != "preset"}
    model = own.pop("model", None)
    base = model.partition(MARK)[0] if isinstance(model, str) else model
    taken = dict(content.config)
    if base:  # another model than the preset's: its fallbacks stay
        own["model"] = base
    joined: Json = taken | own
    if content.system_prompt is not None and not _has_instructions(body):
        instruction = {"role": "system", "content": content.system_prompt}
        joined["messages"] = [instruction, *(body.get("messages") or ())]
    return joined


def is_prompted(body: Json, whole: Json) -> bool:
    """Return whether `whole`, a merged body, begins with the preset's prompt."""
    return len(whole.get("messages") or ()) > len(body.get("messages") or ())


def _system_prompt(body: Json) -> str | None:
    """Return the text of the first message, where that is an instruction."""
    messages = body.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    if not isinstance(first, Mapping) or first.get("role") not in ("system", "developer"):
        return None
    content = first.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content or () if isinstance(part.get("text"), str))


def _has_instructions(body: Json) -> bool:
    messages = body.get("messages")
    return any(
        isinstance(each, Mapping) and each.get("role") in ("system", "developer")
        for each in (messages if isinstance(messages, list) else ())
    )
