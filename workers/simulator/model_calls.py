"""One call to a model, from its path and body to the last byte, for all wires."""

import re
from typing import Final
from urllib.parse import parse_qs

from workers.simulator.anthropic_wire import AnthropicMessages
from workers.simulator.behaviour import Behaviour, UnknownModelError, parse
from workers.simulator.counters import Counters
from workers.simulator.faults import BREAKAGES, key_refusal, refusal_due
from workers.simulator.gemini_wire import Gemini, GeminiArray, GeminiEvents
from workers.simulator.http import ClientGoneError, Exchange
from workers.simulator.image_operations import ImageEdits, Images, ImageVariations
from workers.simulator.media_operations import Speech, Transcriptions
from workers.simulator.ocr_operation import Ocr
from workers.simulator.openai_wire import OpenAIChat
from workers.simulator.picture_jobs import (
    BFL,
    FAL,
    STABILITY,
    BflJobs,
    FalJobs,
    JobStore,
    StabilityForms,
)
from workers.simulator.replies import compose
from workers.simulator.responses_wire import OpenAIResponses
from workers.simulator.text_operations import (
    CohereRerank,
    Completions,
    Embeddings,
    Moderations,
    Rerank,
)
from workers.simulator.wire import ErrorReply, RefusedError, Reply, Request, Wire

UNREADABLE = "(unreadable)"  # the counted model of a call whose body names none


async def generate(exchange: Exchange, wire: Wire, counters: Counters) -> None:
    """Answer or break one call. It ends when the client goes away."""
    body = await exchange.body()
    try:
        request = wire.read(exchange, body)
    except RefusedError as error:
        counters.enter(UNREADABLE, body)
        counters.leave()
        await refuse(exchange, wire, error.refusal)
        return
    number = counters.enter(request.model, body)
    try:
        behaviour = parse_behaviour(request.model)
        if not request.background:
            await exchange.pause(behaviour.latency_ms)
        if refusal := key_refusal(exchange) or refusal_due(behaviour, body, number):
            await refuse(exchange, wire, refusal)
        else:
            await respond(exchange, wire, request, behaviour)
    except RefusedError as error:
        await refuse(exchange, wire, error.refusal)
    except ClientGoneError:
        counters.abandoned += 1
    finally:
        counters.leave()


def parse_behaviour(model: str) -> Behaviour:
    try:
        return parse(model)
    except UnknownModelError as error:
        raise RefusedError(ErrorReply(404, "unknown_model", str(error))) from error


async def refuse(exchange: Exchange, wire: Wire, refusal: ErrorReply) -> None:
    body, headers = wire.refuse(refusal), wire.headers(refusal)
    await exchange.answer(wire.status(refusal), body, headers, wire.refusal_content)


async def respond(exchange: Exchange, wire: Wire, request: Request, behaviour: Behaviour) -> None:
    reply = compose(request, behaviour)
    if behaviour.fault:
        await BREAKAGES[behaviour.fault](exchange, wire, request, reply)
    elif request.stream and request.background:
        await RESPONSES.begin(exchange, request, reply)
    elif request.stream:
        await stream(exchange, wire, request, reply, behaviour.chunk_ms)
    else:
        body = wire.answer(request, reply)
        await exchange.answer(200, body, content=wire.content(request))


async def stream(
    exchange: Exchange, wire: Wire, request: Request, reply: Reply, chunk_ms: int
) -> None:
    await exchange.begin(content=wire.content(request))
    events = wire.events(request, reply)
    if not chunk_ms:
        # Without pauses the transport would join the events anyway: one write is cheaper.
        await exchange.end(b"".join(events))
        return
    for number, event in enumerate(events):
        if number:
            await exchange.pause(chunk_ms)
        await exchange.write(event)
    await exchange.end()


RESPONSES: Final = OpenAIResponses()
ENDPOINTS: Final[dict[str, Wire]] = {
    "/chat/completions": OpenAIChat(),
    "/completions": Completions(),
    "/embeddings": Embeddings(),
    "/images/generations": Images(),
    "/images/edits": ImageEdits(),
    "/images/variations": ImageVariations(),
    "/rerank": Rerank(),
    "/moderations": Moderations(),
    "/ocr": Ocr(),
    "/audio/transcriptions": Transcriptions(),
    "/audio/speech": Speech(),
    "/messages": AnthropicMessages(),
    "/responses": RESPONSES,
}
WIRES: Final[dict[str, Wire]] = {  # the version may be left out
    **ENDPOINTS,
    **{f"/v1{path}": wire for path, wire in ENDPOINTS.items()},
    "/v2/rerank": CohereRerank(),
}
AZURE: Final = re.compile(r"/openai/(?:v1|deployments/[^/]+)(?P<path>/.+)")
GEMINI: Final = re.compile(
    r"(?:/v1(?:alpha|beta1?)?)?"
    r"(?P<vertex>(?:/projects/[^/]+/locations/[^/]+)?/publishers/google)?"
    r"/models/[^/:]+:(?P<method>generateContent|streamGenerateContent)"
)


PICTURES: Final = JobStore()
PICTURE_WIRES: Final[dict[str, Wire]] = {
    BFL: BflJobs(PICTURES),
    FAL: FalJobs(PICTURES),
    STABILITY: StabilityForms(),
}


def wire_at(exchange: Exchange) -> Wire | None:
    """Return the wire at the path of a POST, if there is one."""
    for path, pictures in PICTURE_WIRES.items():
        if exchange.path.startswith(path):
            return pictures
    if wire := WIRES.get(exchange.path):
        return wire
    if azure := AZURE.fullmatch(exchange.path):
        return ENDPOINTS.get(azure["path"])
    match = GEMINI.fullmatch(exchange.path)
    if not match:
        return None
    vertex = match["vertex"] is not None
    if match["method"] == "generateContent":
        return Gemini(vertex)
    query = parse_qs(exchange.scope["query_string"].decode())
    return GeminiEvents(vertex) if query.get("alt") == ["sse"] else GeminiArray(vertex)
