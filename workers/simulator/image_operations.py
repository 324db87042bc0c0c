"""POST /v1/images/generations, /v1/images/edits and /v1/images/variations."""

import time
from abc import abstractmethod
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Final, NamedTuple

import orjson

from workers.simulator.http import Form, form, json_call, required_text
from workers.simulator.media import SIDE, TOKENS, colour_of, square
from workers.simulator.openai_shapes import OpenAIWire
from workers.simulator.replies import count_tokens
from workers.simulator.wire import EVENT_STREAM, JSON, Head, Json, Reply, Request, invalid

IMAGE_PATH: Final = "/_images/"  # the path of the files
SUFFIX: Final = ".png"
MOST: Final = 10
MOST_PARTS: Final = 3
FORMS: Final = ("b64_json", "url")
IMAGE_STARTS: Final = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8")


class Order(NamedTuple):
    """The images that a call requests."""

    seed: str  # what their colours depend on
    number: int
    url: str | None  # where they are, if links are requested
    images: int  # sent with the call
    stated: Json  # options that the answer repeats
    partial: int


class Images(OpenAIWire):
    """Images: small squares of different colours, for every requested size."""

    kind: ClassVar[str] = "image_generation"

    def read(self, head: Head, body: bytes) -> Request:
        call = json_call(body)
        try:
            return self.request(call, head, required_text(call, "prompt"), ())
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise invalid("The request does not have the shape of this endpoint's") from error

    def request(
        self, call: Json, head: Head, prompt: str, images: Iterable[tuple[str, bytes]]
    ) -> Request:
        number = int(call.get("n") or 1)
        if not 1 <= number <= MOST:
            raise invalid(f"Invalid value for 'n': 1 to {MOST} can be had")
        requested_form = call.get("response_format") or FORMS[0]
        if requested_form not in FORMS:
            raise invalid("Invalid value for 'response_format'")
        partial = int(call.get("partial_images") or 0)
        if not 0 <= partial <= MOST_PARTS:
            raise invalid(f"Invalid value for 'partial_images': 0 to {MOST_PARTS} can be had")
        link = f"http://{head.header(b'host')}{IMAGE_PATH}"
        sent = [f"{name}:{b64encode(content).decode()}" for name, content in images]
        order = Order(
            seed="\0".join([prompt, str(call.get("seed") or ""), *sent]),
            number=number,
            url=link if requested_form == "url" else None,
            images=len(sent),
            stated=_stated(call),
            partial=partial,
        )
        return Request(
            call["model"],
            stream=call.get("stream") in (True, "true"),
            text=prompt,
            tokens=count_tokens(prompt) + TOKENS * len(sent),
            detail=order,
        )

    def content(self, request: Request) -> bytes:
        return EVENT_STREAM if request.stream else JSON

    def answer(self, request: Request, reply: Reply) -> bytes:
        order: Order = request.detail
        whole: dict[str, Any] = {
            "created": int(time.time()),
            "data": [_image(colour, order.url) for colour in _colours(order)],
            **order.stated,
        }
        if reply.usage:
            whole["usage"] = _usage(request)
        return orjson.dumps(whole)

    def events(self, request: Request, reply: Reply) -> Iterator[bytes]:
        order: Order = request.detail
        colours = _colours(order)
        shared = {"created_at": int(time.time()), "background": "opaque", "quality": "low"}
        shared |= order.stated
        for index in range(order.partial):
            part = {"b64_json": _encoded(colour_of(f"{colours[0]}{index}"))}
            yield self._event("partial_image", {**shared, **part, "partial_image_index": index})
        usage = {"usage": _usage(request)} if reply.usage else {}
        for number, colour in enumerate(colours):
            last = usage if number == len(colours) - 1 else {}
            yield self._event("completed", {**shared, "b64_json": _encoded(colour), **last})

    def _event(self, name: str, data: Json) -> bytes:
        kind = f"{self.kind}.{name}"
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **data}))


class _FormImages(Images):
    """An operation whose body is a form with images."""

    def read(self, head: Head, body: bytes) -> Request:
        sent = form(head.header(b"content-type"), body)
        if "model" not in sent.fields:
            raise invalid("you must provide a model parameter")
        images = [(each.field, each.data) for each in sent.uploads]
        pictures = [name for name, _ in images if name in ("image", "image[]")]
        if not pictures:
            raise invalid("Missing required parameter: 'image'")
        for name, content in images:
            if not content.startswith(IMAGE_STARTS):
                raise invalid(f"Invalid file '{name}': unsupported mimetype")
        try:
            return self.request(sent.fields, head, self.prompt(sent), images)
        except ValueError as error:
            raise invalid("The request does not have the shape of this endpoint's") from error

    @abstractmethod
    def prompt(self, sent: Form) -> str:
        """Return the text of the call. Raises RefusedError."""


class ImageEdits(_FormImages):
    """Edits: the colours depend on the prompt, the images and the mask."""

    kind: ClassVar[str] = "image_edit"

    def prompt(self, sent: Form) -> str:
        return required_text(sent.fields, "prompt")


class ImageVariations(_FormImages):
    """Variations: the colours depend on the image."""

    def prompt(self, _: Form) -> str:
        return ""


def find_image(path: str) -> bytes | None:
    """Return the file at a path, if there is one."""
    if not (path.startswith(IMAGE_PATH) and path.endswith(SUFFIX)):
        return None
    try:
        return square(path.removeprefix(IMAGE_PATH).removesuffix(SUFFIX))
    except ValueError:
        return None


def _stated(call: Json) -> Json:
    """Return the options of an answer: those of the call, where it chose them."""
    size = call.get("size")
    stated = {
        "output_format": call.get("output_format") or "png",
        "size": size if size not in (None, "auto") else f"{SIDE}x{SIDE}",
    }
    return stated | {name: call[name] for name in ("quality", "background") if call.get(name)}


def _colours(order: Order) -> list[str]:
    return [colour_of(f"{order.seed}\0{index}") for index in range(order.number)]


def _image(colour: str, url: str | None) -> dict[str, str]:
    return {"url": url + colour + SUFFIX} if url else {"b64_json": _encoded(colour)}


def _encoded(colour: str) -> str:
    return b64encode(square(colour)).decode()


def _usage(request: Request) -> dict[str, Any]:
    order: Order = request.detail
    read, drawn, images = request.tokens, TOKENS * order.number, TOKENS * order.images
    return {
        "input_tokens": read,
        "output_tokens": drawn,
        "total_tokens": read + drawn,
        "input_tokens_details": {"text_tokens": read - images, "image_tokens": images},
    }
