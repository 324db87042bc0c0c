"""Composition of the simulator's replies. A token is four characters, rounded up."""

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable
from hashlib import blake2b
from itertools import count
from typing import Final

import orjson

from workers.simulator.behaviour import Behaviour, Style
from workers.simulator.judgements import judge
from workers.simulator.media import TOKENS, colour_of, square, wav
from workers.simulator.specimens import specimen
from workers.simulator.wire import Attachment, AttachmentKind, Reply, Request, Tool, ToolCall

KEY: Final = b"simulator"
SIZE: Final = 24


def sign(text: str) -> str:
    digest = blake2b(text.encode(), digest_size=SIZE).digest()
    return b64encode(digest + _digest(digest)).decode()


def genuine(signature: str) -> bool:
    """Return whether a simulator made this signature, for any text."""
    try:
        data = b64decode(signature, validate=True)
    except (Error, ValueError):
        return False
    return _digest(data[:SIZE]) == data[SIZE:]


def _digest(digest: bytes) -> bytes:
    return blake2b(digest, key=KEY, digest_size=SIZE).digest()


KINDS: Final[dict[str, AttachmentKind]] = {"image": "image", "audio": "sound", "video": "video"}
ORDER: Final[tuple[AttachmentKind, ...]] = ("image", "document", "sound", "video")


def kind_of(media_type: str) -> AttachmentKind:
    return KINDS.get(media_type.partition("/")[0], "document")


def inline(media_type: str, data: str) -> Attachment:
    """Return an attachment that was sent as base64 (either alphabet)."""
    size = len(data) * 3 // 4 - data[-2:].count("=")
    return Attachment(kind_of(media_type), media_type, size)


def read_link(address: str, kind: AttachmentKind) -> Attachment:
    """Return the attachment of a URL. A data URI has its data and its type."""
    if not address.startswith("data:"):
        return Attachment(kind, address)
    head, _, data = address.partition(",")
    media_type = head.removeprefix("data:").partition(";")[0]
    return inline(media_type, data)


def describe(attachments: Iterable[Attachment]) -> str:
    """Return `2 images (image/png, 68 bytes; https://…) and 1 document (…)`."""
    groups: dict[AttachmentKind, list[str]] = {}
    for each in attachments:
        size = "" if each.size is None else f", {each.size} bytes"
        groups.setdefault(each.kind, []).append(each.what + size)
    answers = [_group(kind, groups[kind]) for kind in ORDER if kind in groups]
    return " and ".join([", ".join(answers[:-1]), answers[-1]] if answers[1:] else answers)


def _group(kind: AttachmentKind, members: list[str]) -> str:
    return f"{len(members)} {kind}{'s' * (len(members) > 1)} ({'; '.join(members)})"


CHARACTERS_PER_TOKEN: Final = 4
FIRST_WORDS: Final = 8
STORY: Final = (
    "The harbour office opens before the sun does. A clerk lifts the first waybill from the tray, "
    "reads where the crate came from and where it wants to go, and stamps it twice: once for the "
    "ship and once for the ledger. If the tide is wrong, the crate waits under a dry roof and the "
    "waybill waits with it; if the ship is full, another is found before noon. By evening the tray "
    "is empty. Nothing was lost, nothing was sent twice, and anyone asking tomorrow will find a "
    "page with the name of the ship, the hour of sailing and the weight of every crate."
)
REASONING: Final = (
    "First, what is being asked? Then, what would be a short and useful answer? "
    "It should be plain and to the point."
)
CALL: Final = re.compile(r"([\w.-]+)\((\{.*\})\)", re.DOTALL)
"""A call that a prompt asks for: `weather({"city": "Paris"})`."""
_serial = count(1)


def count_tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def _colour(request: Request) -> str:
    """Return the colour of an image, which depends on the text and the attachments."""
    seen = (f"{each.what}:{each.size}" for each in request.attachments)
    return colour_of("\0".join([request.text, *seen]))


def compose(request: Request, behaviour: Behaviour) -> Reply:
    """Return the answer to `request`, without faults."""
    reasoning = REASONING if behaviour.reasoning or request.thoughts else ""
    thought = count_tokens(reasoning)
    if calls := _calls(request, behaviour):
        spent = sum(count_tokens(call.name + call.arguments) for call in calls)
        return Reply(None, reasoning, calls, False, spent + thought, thought, behaviour.usage)
    if behaviour.style is Style.NULL:
        return Reply(None, reasoning, (), False, thought, thought, behaviour.usage)
    text = _fit_length(_text(request, behaviour), behaviour.tokens)
    kept = _apply_limit(text, request.max_tokens)
    images = (square(_colour(request)),) if behaviour.image and request.images else ()
    spent = count_tokens(kept) + thought + TOKENS * len(images)
    cut = len(kept) < len(text)
    sound = wav(kept) if request.sound else b""
    return Reply(kept, reasoning, (), cut, spent, thought, behaviour.usage, images, sound)


def pieces(text: str) -> list[str]:
    """Split a text into tokens, as a stream does."""
    return [
        text[start : start + CHARACTERS_PER_TOKEN]
        for start in range(0, len(text), CHARACTERS_PER_TOKEN)
    ]


def _text(request: Request, behaviour: Behaviour) -> str:
    if request.tool_results:
        return "The tool answered: " + "; ".join(request.tool_results)
    match behaviour.style:
        case Style.ECHO:
            return request.text
        case Style.WORDS:
            words = len(request.text.split())
            return f"Your prompt has {words} word{'' if words == 1 else 's'}."
        case Style.STORY:
            return STORY
        case Style.JUDGE | Style.JUDGE_FIRST:
            return judge(request.text, prefers_first=behaviour.style is Style.JUDGE_FIRST)
        case Style.PLAIN if request.format == "text":
            return STORY if behaviour.tokens else _plain(request)
        case _:
            return _document(request)


def _plain(request: Request) -> str:
    words = request.text.split()
    if not words:
        return "Your message was empty. Write something and I will answer it."
    opening = " ".join(words[:FIRST_WORDS]).rstrip(".,;:!?") + ("…" * (len(words) > FIRST_WORDS))
    seen = ""
    if request.attachments:
        seen = f" I also received {describe(request.attachments)}."
    return (
        f"You wrote “{opening}”.{seen} This is a simulated answer: no real model was called, "
        "but everything on the way here and back was real."
    )


def _document(request: Request) -> str:
    if isinstance(request.format, str):
        return orjson.dumps({"answer": _plain(request)}).decode()
    return orjson.dumps(specimen(request.format, request.text)).decode()


def _calls(request: Request, behaviour: Behaviour) -> tuple[ToolCall, ...]:
    if not request.tools or request.tool_results:
        return ()
    if request.forced_tool is not None:
        wanted = [tool for tool in request.tools if request.forced_tool in ("", tool.name)]
        return tuple(_call(tool, request) for tool in wanted[: behaviour.tool_calls or 1])
    if behaviour.tool_calls and (asked := _find_asked(request)):
        return (asked,)
    return tuple(_call(tool, request) for tool in request.tools[: behaviour.tool_calls])


def _find_asked(request: Request) -> ToolCall | None:
    """Return the call of an offered tool that the prompt asks for, with arguments in JSON."""
    match = CALL.search(request.text)
    if match is None or match[1] not in {tool.name for tool in request.tools}:
        return None
    try:
        orjson.loads(match[2])
    except orjson.JSONDecodeError:
        return None
    return _number(match[1], match[2])


def _call(tool: Tool, request: Request) -> ToolCall:
    return _number(tool.name, orjson.dumps(specimen(tool.parameters, request.text)).decode())


def _number(name: str, arguments: str) -> ToolCall:
    return ToolCall(f"call_sim{next(_serial):08d}", name, arguments)


def _fit_length(text: str, tokens: int | None) -> str:
    if tokens is None:
        return text
    length = tokens * CHARACTERS_PER_TOKEN
    padded = text + " " if text else STORY + " "
    return (padded * (length // len(padded) + 1))[:length]


def _apply_limit(text: str, tokens: int | None) -> str:
    return text if tokens is None else text[: max(tokens, 0) * CHARACTERS_PER_TOKEN]
