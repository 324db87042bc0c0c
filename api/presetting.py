"""A body that refers to a preset becomes the body that it stands for."""

from api.core.services import Services
from broker import presets
from broker.accounts import Principal
from broker.completion import Json


async def with_preset(services: Services, principal: Principal, body: Json) -> Json:
    """Return the body with its preset's settings. Raises NotFoundError for a preset there is not.

    Only a body that names one costs a question to the database.
    """
    slug = presets.asked(body)
    if slug is None:
        return body
    content = await services.database.read(presets.content, principal.workspace_id, slug)
    return presets.merged(body, content)
