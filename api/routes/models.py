"""GET /models: what can be asked for here."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import views
from api.errors import json_response
from api.services import services

router = APIRouter(tags=["models"])


@router.get("/models")
async def list_models(request: Request) -> Response:
    """List the models that the configured providers serve."""
    models = [views.model(entry) for entry in services(request).catalog.models.values()]
    return json_response(
        {"object": "list", "data": models, "total_count": len(models), "links": {"next": None}}
    )
