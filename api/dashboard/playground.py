"""The playground: a prompt to up to four models, side by side."""

from collections.abc import Sequence

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.dashboard.core.api_client import ApiClient, ApiDep
from api.dashboard.core.pages import PageRoute, render
from api.dashboard.core.visitors import VisitorDep
from api.jobs.response_schemas import Job
from api.models.response_schemas import ListedModel, ModelPage
from api.usage.response_schemas import GenerationContentAnswer
from broker.completion import Json
from broker.ids import generation_id

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/playground")


@router.get("")
async def show_playground(
    request: Request, visitor: VisitorDep, api: ApiDep, model: str = "", job: str = ""
) -> Response:
    """Show the playground, perhaps with a model, or with the prompt of an earlier job."""
    models = (await api.get("/models", ModelPage)).data
    given = await _read_job(api, job) if job else {"model": model}
    given |= {"default_model": _choose_default(models)}
    # in a script element of JSON, the text </script> would end it
    embedded = orjson.dumps(given).decode().replace("<", "\\u003c")
    values = {"models": models, "given": embedded}
    return await render(request, visitor, "playground.html", values)


async def _read_job(api: ApiClient, job_id: str) -> Json:
    """Return model and messages of a job's prompt, if it is stored. Raises ApiRefusalError."""
    job = await api.get(f"/jobs/{job_id}", Job, {"answer": False})
    query = {"id": generation_id(job.id)}
    found = await api.find("/generation/content", GenerationContentAnswer, query)
    asked = found.data.input if found else None
    if asked is None or asked.messages is None:
        return {"model": job.model}
    return {"model": job.model, "messages": asked.messages}


def _choose_default(models: Sequence[ListedModel]) -> str | None:
    """Return the cheapest model that answers with text, or None."""
    chats = [each for each in models if "text" in each.architecture.output_modalities]
    return (
        min(chats, key=lambda each: (float(each.pricing.completion), each.id)).id if chats else None
    )
