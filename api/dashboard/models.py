"""The list of models, and the page of one model with its endpoints."""

import asyncio
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.dashboard.core.api_client import ApiDep, Query
from api.dashboard.core.pages import PageRoute, render
from api.dashboard.core.usage_charts import SPANS, load_usage
from api.dashboard.core.visitors import VisitorDep
from api.models.response_schemas import ModelAnswer, ModelEndpointsAnswer, ModelPage

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/models")
PAGE_SIZE = 100
MODALITIES = ("text", "image", "file", "audio", "video")
OUTPUTS = ("text", "image", "audio", "embeddings", "rerank", "speech", "transcription")
PARAMETERS = ("tools", "response_format", "structured_outputs", "reasoning", "seed", "logprobs")
ORDERS = (
    ("", "name"),
    ("newest", "newest"),
    ("pricing-low-to-high", "price, lowest first"),
    ("pricing-high-to-low", "price, highest first"),
    ("context-high-to-low", "context, longest first"),
)
FILTERS = (
    "q", "input_modalities", "output_modalities", "supported_parameters", "providers", "context",
    "max_price", "sort", "all",
)  # fmt: skip
"""Filters of the list, as `GET /models` names them."""


@router.get("")
async def list_models(
    request: Request, visitor: VisitorDep, api: ApiDep, offset: int = 0
) -> Response:
    """Show the models that the workspace can call, by the filters in the URL."""
    chosen = {name: request.query_params.get(name, "") for name in FILTERS}
    given = {name: value for name, value in chosen.items() if value}
    query: Query = {"output_modalities": "all", **given, "offset": offset, "limit": PAGE_SIZE}
    page = await api.get("/models", ModelPage, query)
    following = urlencode({**given, "offset": offset + PAGE_SIZE})
    values = {
        "models": page.data,
        "total": page.total_count,
        "chosen": chosen,
        "is_filtered": bool(given),
        "modalities": MODALITIES,
        "outputs": OUTPUTS,
        "parameters": PARAMETERS,
        "orders": ORDERS,
        "next_path": f"?{following}" if offset + PAGE_SIZE < page.total_count else "",
        "first_path": f"?{urlencode(given)}" if offset else "",
    }
    return await render(request, visitor, "models.html", values)


@router.get("/{author}/{slug}")
async def show_model(
    request: Request, visitor: VisitorDep, api: ApiDep, author: str, slug: str
) -> Response:
    """Show one model: its endpoints with prices, state and speed, and how to call it."""
    path = f"{author}/{slug}"
    model, endpoints = await asyncio.gather(
        api.get(f"/model/{path}", ModelAnswer),
        api.get(f"/models/{path}/endpoints", ModelEndpointsAnswer, {"all": True}),
    )
    usage = await load_usage(
        api, visitor.place.id, SPANS["30d"], "provider", model=model.data.canonical_slug
    )
    values = {
        "model": model.data,
        "endpoints": sorted(endpoints.data.endpoints, key=lambda each: not each.available),
        "charts": usage.charts,
        "base_url": str(request.base_url).rstrip("/"),
    }
    return await render(request, visitor, "model.html", values)
