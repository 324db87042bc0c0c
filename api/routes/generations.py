"""GET /generation: what one completion consumed and cost."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import views
from api.errors import json_response
from api.services import services
from broker import reports
from broker.errors import NotFoundError

router = APIRouter(tags=["generations"])


@router.get("/generation")
async def get_generation(request: Request, id: str) -> Response:  # noqa: A002  # OpenRouter's name
    """Show one generation: there from the moment its completion is answered."""
    hands = services(request)
    principal = await hands.keyring.principal(request)
    row = await hands.database.read(reports.generation, principal.workspace_id, id)
    if row is None:
        raise NotFoundError(f"There is no generation {id}.", param="id")
    return json_response({"data": views.generation(row)})
