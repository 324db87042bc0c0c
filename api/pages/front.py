"""/: nothing of its own; who looks in with a browser is shown the way."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.pages.page import moved
from broker.errors import NotFoundError

router = APIRouter()


@router.get("/")
async def show_the_way(request: Request) -> Response:
    """Send a browser to the API's reference; tell programs where the API is."""
    if "text/html" in request.headers.get("accept", ""):
        return moved("/docs")
    raise NotFoundError("The API is at /api/v1, its reference at /docs, signing in at /sign-in.")
