"""Multipart forms of requests to providers (RFC 7578)."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from broker.values import immutable


@immutable
class FormFile:
    """A file of a form."""

    name: str  # of the field
    filename: str
    media_type: str
    content: bytes


@immutable
class Form:
    """A form, ready to be sent."""

    content_type: str
    body: bytes


def build_form(fields: Mapping[str, Any], files: Sequence[FormFile]) -> Form:
    """Return a form of fields, then files. A list becomes fields with `[]` after their name."""
    boundary = uuid.uuid4().hex
    parts = [_build_field(boundary, name, value) for name, value in fields.items()]
    for file in files:
        parts += [_build_file_head(boundary, file), file.content, b"\r\n"]
    return Form(
        f"multipart/form-data; boundary={boundary}",
        b"".join([*parts, f"--{boundary}--\r\n".encode()]),
    )


def _build_file_head(boundary: str, file: FormFile) -> bytes:
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_quote(file.name)}"; '
        f'filename="{_quote(file.filename)}"\r\nContent-Type: {file.media_type}\r\n\r\n'
    ).encode()


def _build_field(boundary: str, name: str, value: Any) -> bytes:
    values = value if isinstance(value, list) else [value]
    repeated = _quote(f"{name}[]" if isinstance(value, list) else name)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{repeated}"\r\n\r\n'
    return "".join([f"{head}{_text(each)}\r\n" for each in values]).encode()


def _quote(name: str) -> str:
    """Escape a name that stands in quotes (HTML standard, "multipart/form-data")."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
