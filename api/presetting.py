"""A body that refers to a preset becomes the body that it stands for."""

from api.services import Services
from broker import presets
from broker.accounts import Principal
from broker.completion import Json
from broker.errors import NotFoundError


async def with_preset(hands: Services, principal: Principal, body: Json) -> Json:
    """Return the body with its preset's settings. Raises NotFoundError for a preset there is not.

    Only a body that names one costs a question to the database.
    """
    slug = presets.asked(body)
    if slug is None:
        return body
    found = await hands.database.read(presets.find, principal.workspace_id, slug)
    if found is None:
        raise NotFoundError(
            f"There is no preset {slug!r}: GET /api/v1/presets lists them.", param="preset"
        )
    return presets.merged(body, found.content)
