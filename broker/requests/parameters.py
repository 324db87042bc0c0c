"""The parameters of a chat body that an endpoint may or may not support. Pure.

Names are those of OpenRouter's `supported_parameters`. Unsupported parameters are removed from the
request to an endpoint, except tools, response formats and web search. With
`provider.require_parameters` only endpoints that support all of them are used.
"""

from functools import lru_cache

from broker.completion import Json
from broker.requests.operations import Interface

FIELDS = {
    **{
        name: name
        for name in (
            *("temperature", "top_p", "top_k", "min_p", "top_a", "seed", "stop", "logit_bias"),
            *("frequency_penalty", "presence_penalty", "repetition_penalty", "logprobs"),
            *("top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "response_format"),
            *("prediction", "verbosity", "web_search_options", "reasoning"),
        )
    },
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "reasoning_effort": "reasoning",
    "include_reasoning": "reasoning",
}
"""Body field → parameter."""

ALIASES = {
    "max_completion_tokens": "max_tokens",
    "structured_outputs": "response_format",
    "reasoning_effort": "reasoning",
    "include_reasoning": "reasoning",
}
"""Other names of parameters in the lists of endpoints."""

NOT_IN_RESPONSES = frozenset(
    {"seed", "stop", "logit_bias", "frequency_penalty", "presence_penalty", "repetition_penalty",
     "top_k", "min_p", "top_a", "prediction"}
)  # fmt: skip
"""Parameters that OpenAI's Responses API does not have."""

NEVER_DROPPED = frozenset({"max_tokens"})  # it bounds the cost
ESSENTIAL = frozenset({"tools", "response_format", "web_search_options"})
"""Parameters that the answer depends on: endpoints that lack one are excluded."""

PREFERRED = frozenset({"tools", "tool_choice", "response_format", "verbosity"})
"""OpenRouter's soft preference: endpoints that lack one of these come last."""


def find_parameters(body: Json) -> frozenset[str]:
    """Return the parameters that a body sets."""
    return frozenset(
        [FIELDS[field] for field, value in body.items() if field in FIELDS and value is not None]
    )


def limit_to_interface(listed: frozenset[str], interface: Interface) -> frozenset[str]:
    """Return those parameters that the API by which a model is served has."""
    return listed - NOT_IN_RESPONSES if interface is Interface.RESPONSES else listed


@lru_cache(4_096)  # a catalog has few different lists, and every plan uses them
def normalize(listed: frozenset[str]) -> frozenset[str]:
    """Return an endpoint's list with the parameter names of this module."""
    return frozenset(ALIASES.get(name, name) for name in listed) | NEVER_DROPPED


def drop_unsupported(
    body: Json, supported: frozenset[str] | None, interface: Interface = Interface.PATHS
) -> Json:
    """Return the body without unsupported parameters (None = all that the API has)."""
    if supported is None and interface is Interface.PATHS:
        return body
    known = frozenset(FIELDS.values()) if supported is None else normalize(supported)
    kept = limit_to_interface(known, interface)
    return {
        name: value for name, value in body.items() if name not in FIELDS or FIELDS[name] in kept
    }
