"""GET /generation: what one completion consumed and cost, and what was said."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.core.errors import json_response
from api.core.services import Services, services_of
from api.jobs import delete_after_delivery
from api.usage import generation_views
from broker import reports
from broker.accounts import Principal, Scope
from broker.errors import NotFoundError
from broker.ids import job_of_generation
from broker.privacy import Kept
from broker.reports import JobReport

router = APIRouter(tags=["generations"])


@router.get("/generation")
async def get_generation(request: Request, id: str) -> Response:  # noqa: A002  # OpenRouter's name
    """Show one generation: there from the moment its completion is answered."""
    services = services_of(request)
    found = await _report(await services.keyring.principal(request), services, id)
    if found.generation is None:
        raise NotFoundError(f"There is no generation {id}.", param="id")
    return json_response({"data": generation_views.generation(found)})


@router.get("/generation/content")
async def get_generation_content(request: Request, id: str) -> Response:  # noqa: A002
    """Show what was asked and answered, or how it failed, as far as it is kept.

    The prompt of a preset is shown to keys with the scope `presets`.
    """
    services = services_of(request)
    principal = await services.keyring.principal(request)
    found = await _report(principal, services, id)
    if found.job.kept == Kept.NOTHING:
        raise delete_after_delivery.gone(found.job.id)
    shows = Scope.PRESETS in principal.scopes
    response = json_response({"data": generation_views.content(found, shows_presets=shows)})
    return delete_after_delivery.once_sent(services, found.job, response)


async def _report(principal: Principal, services: Services, generation: str) -> JobReport:
    job_id = job_of_generation(generation)
    found = await services.database.read(reports.job, principal.workspace_id, job_id)
    is_hidden = found is None or not principal.sees(found.job.api_key_id, Scope.JOBS)
    if found is None or is_hidden or not generation.startswith("gen-"):
        raise NotFoundError(f"There is no generation {generation}.", param="id")
    return found
