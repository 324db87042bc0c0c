"""What messages carry beside text: read from the forms the wires share, and told in words."""

from collections.abc import Iterable
from typing import Final

from workers.simulator.requests import Attachment, AttachmentKind

KINDS: Final[dict[str, AttachmentKind]] = {"image": "image", "audio": "sound", "video": "video"}
ORDER: Final[tuple[AttachmentKind, ...]] = ("image", "document", "sound", "video")


def kind_of(media_type: str) -> AttachmentKind:
    return KINDS.get(media_type.partition("/")[0], "document")


def inline(media_type: str, data: str) -> Attachment:
    """Return what was sent whole, as base64 (of either alphabet)."""
    size = len(data) * 3 // 4 - data[-2:].count("=")
    return Attachment(kind_of(media_type), media_type, size)


def linked(address: str, kind: AttachmentKind) -> Attachment:
    """Return what is at an address; a data URI carries it and says its own kind."""
    if not address.startswith("data:"):
        return Attachment(kind, address)
    head, _, data = address.partition(",")
    media_type = head.removeprefix("data:").partition(";")[0]
    return inline(media_type, data)


def described(attachments: Iterable[Attachment]) -> str:
    """Return `2 images (image/png, 68 bytes; https://…) and 1 document (…)`."""
    groups: dict[AttachmentKind, list[str]] = {}
    for each in attachments:
        size = "" if each.size is None else f", {each.size} bytes"
        groups.setdefault(each.kind, []).append(each.what + size)
    told = [_group(kind, groups[kind]) for kind in ORDER if kind in groups]
    return " and ".join([", ".join(told[:-1]), told[-1]] if told[1:] else told)


def _group(kind: AttachmentKind, members: list[str]) -> str:
    return f"{len(members)} {kind}{'s' * (len(members) > 1)} ({'; '.join(members)})"
