"""POST /v1/images/generations, and the files its addresses lead to."""

import time
from base64 import b64encode
from typing import Any, Final

import orjson

from workers.simulator.bodies import required_text
from workers.simulator.media import SIDE, TOKENS, colour_of, square
from workers.simulator.operation import Operation
from workers.simulator.replies import count_tokens
from workers.simulator.requests import Json, Reply, Request, invalid
from workers.simulator.wire import Head

PLACE: Final = "/_images/"  # where the files are served
SUFFIX: Final = ".png"
MOST: Final = 10
FORMS: Final = ("b64_json", "url")


class Images(Operation):
    """Squares of a few pixels, whatever size is asked for; each in another colour."""

    def understand(self, call: Json, head: Head) -> Request:
        prompt, number = required_text(call, "prompt"), call.get("n") or 1
        if not 1 <= number <= MOST:
            raise invalid(f"Invalid value for 'n': 1 to {MOST} can be had")
        form = call.get("response_format") or FORMS[0]
        if form not in FORMS:
            raise invalid("Invalid value for 'response_format'")
        place = f"http://{head.header(b'host')}{PLACE}" if form == "url" else None
        tokens = count_tokens(prompt)
        return Request(call["model"], text=prompt, tokens=tokens, detail=(number, place))

    def answer(self, request: Request, reply: Reply) -> bytes:
        number, place = request.detail
        colours = [colour_of(f"{request.text}\0{index}") for index in range(number)]
        whole: dict[str, Any] = {
            "created": int(time.time()),
            "data": [_image(colour, place) for colour in colours],
            "output_format": "png",
            "size": f"{SIDE}x{SIDE}",
        }
        if reply.usage:
            whole["usage"] = _usage(request.tokens, TOKENS * number)
        return orjson.dumps(whole)


def stored(path: str) -> bytes | None:
    """Return the file at a path, if there is one."""
    if not (path.startswith(PLACE) and path.endswith(SUFFIX)):
        return None
    try:
        return square(path.removeprefix(PLACE).removesuffix(SUFFIX))
    except ValueError:
        return None


def _image(colour: str, place: str | None) -> dict[str, str]:
    if place:
        return {"url": place + colour + SUFFIX}
    return {"b64_json": b64encode(square(colour)).decode()}


def _usage(read: int, drawn: int) -> dict[str, Any]:
    return {
        "input_tokens": read,
        "output_tokens": drawn,
        "total_tokens": read + drawn,
        "input_tokens_details": {"text_tokens": read, "image_tokens": 0},
    }
