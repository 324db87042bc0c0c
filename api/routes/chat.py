"""POST /chat/completions: a job whose caller waits, streams, or comes back later."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.completions.call import answer_call
from api.core import request as reading
from api.core.openapi_bodies import LATER, body_of
from api.core.services import services_of
from api.routes.direct import DirectRoute
from broker.operations import Operation

router = APIRouter(tags=["chat"], route_class=DirectRoute)


@router.post("/chat/completions", openapi_extra=body_of(Operation.CHAT), responses=LATER)
async def create_chat_completion(request: Request) -> Response:
    """Create a chat completion: answered, streamed, or accepted for later (`Prefer`)."""
    services = services_of(request)
    principal = await services.keyring.principal(request)
    body = await reading.read_json(request, services.settings.max_body_bytes)
    return await answer_call(request, services, principal, body, Operation.CHAT)
