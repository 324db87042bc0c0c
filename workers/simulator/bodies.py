"""Request bodies: JSON objects and forms with files."""

from dataclasses import dataclass
from email.message import Message

import orjson

from workers.simulator.requests import Json, invalid


@dataclass(frozen=True, slots=True)
class Upload:
    name: str
    media_type: str
    data: bytes


def json_object(body: bytes) -> Json:
    """Return what a JSON body says. Raises RefusedError."""
    try:
        call = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid("We could not parse the JSON body of your request") from error
    if not isinstance(call, dict):
        raise invalid("The JSON body of your request is not an object")
    return call


def json_call(body: bytes) -> Json:
    """Return a JSON object that names a model. Raises RefusedError."""
    call = json_object(body)
    if not isinstance(call.get("model"), str):
        raise invalid("you must provide a model parameter")
    return call


def required_text(call: Json, name: str) -> str:
    """Return a text that must be there and say something. Raises RefusedError."""
    text = call.get(name)
    if not isinstance(text, str) or not text.strip():
        raise invalid(f"Missing required parameter: '{name}'")
    return text


def form(content_type: str, body: bytes) -> tuple[dict[str, str], dict[str, Upload]]:
    """Return the fields and the files of a multipart form. Raises RefusedError."""
    boundary = _parameters("content-type", content_type).get_boundary()
    if not boundary:
        raise invalid("Expected multipart/form-data with a boundary")
    fields: dict[str, str] = {}
    files: dict[str, Upload] = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:-1]:
        head, _, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        headers = _headers(head)
        about = _parameters("content-disposition", headers.get("content-disposition", ""))
        name = str(about.get_param("name", "", "content-disposition"))
        if (filename := about.get_filename()) is None:
            fields[name] = data.decode(errors="replace")
        else:
            media_type = headers.get("content-type", "application/octet-stream")
            files[name] = Upload(filename, media_type, data)
    return fields, files


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode(errors="replace").split("\r\n")
    pairs = [line.partition(":") for line in lines]
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _parameters(name: str, value: str) -> Message:
    message = Message()
    message[name] = value
    return message
