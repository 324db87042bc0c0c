"""Apply OpenRouter's `context-compression` plugin (`middle-out`) to a chat. Pure.

Models recall the middle of a long prompt worst, so whole turns are removed from the middle
outwards. Instructions and the last turn stay, and a tool's answer goes with its call. If that is
not enough, the longest texts lose their middles. The plugin or `transforms: ["middle-out"]` request
it; it is on by default for contexts of up to 8,192 tokens.

Source: openrouter.ai/docs/guides/features/message-transforms.
"""

from collections.abc import Sequence
from typing import Any

from broker.completion import Json
from broker.requests import plugins
from broker.requests.token_estimates import CHARACTERS_PER_TOKEN, estimate_input_tokens

SMALL_CONTEXT = 8_192  # up to here it is on by default
SPARE = 0.05  # of the context, since tokens are estimated
LIKELY_OUTPUT = 0.25  # of the context, where the body names no max_tokens
CUT = "\n…\n"


def is_requested(body: Json, context_length: int | None) -> bool:
    """Return whether a body may be compressed for an endpoint with this context."""
    settings = plugins.find(body.get("plugins"), plugins.CONTEXT_COMPRESSION)
    if settings is not None:
        return plugins.is_on(settings)
    transforms = body.get("transforms")
    if isinstance(transforms, list):
        return plugins.MIDDLE_OUT in transforms
    return context_length is not None and context_length <= SMALL_CONTEXT


def compress(body: Json, context_length: int | None) -> Json:
    """Return the body shortened to fit the context by estimate; unchanged if it fits."""
    if context_length is None or not isinstance(body.get("messages"), list):
        return body
    limit = _find_limit(body, context_length)
    if estimate_input_tokens(body) <= limit:
        return body
    shortened = _without_middle(body, limit)
    return (
        shortened
        if estimate_input_tokens(shortened) <= limit
        else _with_shorter_texts(shortened, limit)
    )


def _find_limit(body: Json, context_length: int) -> int:
    requested = body.get("max_completion_tokens") or body.get("max_tokens")
    output = min(requested or context_length, int(context_length * LIKELY_OUTPUT))
    if isinstance(requested, int) and requested < context_length:
        output = requested
    return max(int(context_length * (1 - SPARE)) - output, 1)


def _without_middle(body: Json, limit: int) -> Json:
    """Drop turns from the middle outwards until the rest fits, or only the kept ones are left."""
    turns = _turns(body["messages"])
    sizes = [estimate_input_tokens({"messages": turn}) for turn in turns]
    excess = estimate_input_tokens(body) - limit
    dropped: set[int] = set()
    for place in _middle_out([i for i, turn in enumerate(turns[:-1]) if not _is_kept(turn)]):
        if excess <= 0:
            break
        dropped.add(place)
        excess -= sizes[place]
    kept = [each for i, turn in enumerate(turns) if i not in dropped for each in turn]
    return body | {"messages": kept}


def _turns(messages: Sequence[Json]) -> list[list[Json]]:
    """Return messages in groups that stay or go together: a tool's answers with their call."""
    turns: list[list[Json]] = []
    for message in messages:
        answers = message.get("role") in ("tool", "function")
        if answers and turns:
            turns[-1].append(message)
        else:
            turns.append([message])
    return turns


def _is_kept(turn: Sequence[Json]) -> bool:
    return turn[0].get("role") in ("system", "developer")


def _middle_out(places: Sequence[int]) -> list[int]:
    """Return places ordered by their distance from the middle one."""
    middle = (len(places) - 1) / 2
    order = sorted(range(len(places)), key=lambda index: abs(index - middle))
    return [places[index] for index in order]


def _with_shorter_texts(body: Json, limit: int) -> Json:
    """Cut the middle out of texts, all to the longest length at which the whole fits."""
    least, most = 0, max((len(text) for text in _texts(body["messages"])), default=0)
    while least < most:
        length = (least + most + 1) // 2
        if estimate_input_tokens(_shortened(body, length)) <= limit:
            least = length
        else:
            most = length - 1
    return _shortened(body, max(least, CHARACTERS_PER_TOKEN))


def _texts(messages: Sequence[Json]) -> list[str]:
    return [text for message in messages for text in _parts(message.get("content"))]


def _parts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    parts = content if isinstance(content, list) else ()
    return [part["text"] for part in parts if isinstance(part.get("text"), str)]


def _shortened(body: Json, length: int) -> Json:
    return body | {
        "messages": [
            message | {"content": _shorter(message["content"], length)}
            if message.get("content")
            else message
            for message in body["messages"]
        ]
    }


def _shorter(content: Any, length: int) -> Any:
    if isinstance(content, str):
        return _without_its_middle(content, length)
    return [
        part | {"text": _without_its_middle(part["text"], length)}
        if isinstance(part.get("text"), str)
        else part
        for part in content
    ]


def _without_its_middle(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    left = max(length - len(CUT), 0)
    head, tail = (left + 1) // 2, left // 2
    return text[:head] + CUT[: length - head - tail] + (text[-tail:] if tail else "")
