"""Messages in Celery's protocol, version 2: a task's name and one argument, a list of ids.

Source: https://docs.celeryq.dev/en/stable/internals/protocol.html#version-2. Redis has no headers
and properties of its own, so that Kombu wraps them and the body in one JSON document there
(`kombu.transport.virtual.base.Channel.prepare_message`).
"""

import base64
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import orjson

from broker.queues import find_task
from broker.values import immutable

CONTENT_TYPE = "application/json"
CONTENT_ENCODING = "utf-8"
PERSISTENT = 2  # AMQP 0-9-1: delivery mode

ORIGIN = f"gen{os.getpid()}@{socket.gethostname()}"
NO_CALLBACKS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


class TransportError(Exception):
    """The server with the queues does not answer, or refused a command."""


class MalformedMessageError(ValueError):
    """A message that is not one of Waybill's."""


@immutable
class Message:
    """A task message: what to do with the ids of one queue."""

    id: str  # a UUID
    task: str
    queue: str
    ids: tuple[str, ...]


def create_message(queue: str, ids: Sequence[str]) -> Message:
    """Return a new message with these ids for this queue."""
    return Message(str(uuid4()), find_task(queue), queue, tuple(ids))


def build_headers(message: Message) -> dict[str, Any]:
    """Return the headers that Celery's workers and monitors expect."""
    return {
        "lang": "py",
        "task": message.task,
        "id": message.id,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": message.id,
        "parent_id": None,
        "argsrepr": render_arguments(message),
        "kwargsrepr": "{}",
        "origin": ORIGIN,
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }


def render_arguments(message: Message) -> str:
    """Return the arguments as monitors show them."""
    return f"({list(message.ids)!r},)"


def encode_body(message: Message) -> bytes:
    """Return the body: arguments, keyword arguments, callbacks."""
    return orjson.dumps([[message.ids], {}, NO_CALLBACKS])


def decode_body(queue: str, headers: Mapping[str, Any], body: bytes | str) -> Message:
    """Return the message with this body. Raises MalformedMessageError."""
    try:
        [ids], _, _ = orjson.loads(body)
        message = Message(headers["id"], headers["task"], queue, tuple(ids))
    except (ValueError, TypeError, KeyError) as error:
        raise MalformedMessageError(f"no task with a list of ids: {error}") from error
    if not all(isinstance(each, str) for each in (message.id, message.task, *message.ids)):
        raise MalformedMessageError("an id is not a string")
    return message


def encode_document(message: Message) -> bytes:
    """Return a message as Kombu stores it in Redis."""
    return orjson.dumps(
        {
            "body": base64.b64encode(encode_body(message)).decode(),
            "content-encoding": CONTENT_ENCODING,
            "content-type": CONTENT_TYPE,
            "headers": build_headers(message),
            "properties": {
                "correlation_id": message.id,
                "reply_to": "",
                "delivery_mode": PERSISTENT,
                "delivery_info": {"exchange": "", "routing_key": message.queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": message.id,
            },
        }
    )


def decode_document(queue: str, document: bytes) -> Message:
    """Return the message that Kombu stored in Redis. Raises MalformedMessageError."""
    try:
        parts = orjson.loads(document)
        is_base64 = parts["properties"].get("body_encoding") == "base64"
        body = base64.b64decode(parts["body"]) if is_base64 else parts["body"]
        headers = parts["headers"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MalformedMessageError(f"no Kombu message: {error}") from error
    return decode_body(queue, headers, body)
