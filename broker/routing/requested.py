"""The models that a body asks for."""

from broker.completion import Json
from broker.errors import InvalidRequestError

MAX_MODELS = 16


def requested_models(body: Json) -> list[str]:
    """Return the model slugs a body asks for, first choice first.

    `models` is OpenRouter's fallback list, `route.fallbacks` the other spelling of it.
    Raises InvalidRequestError that names the field.
    """
    route = body.get("route")
    fallbacks = route.get("fallbacks") if isinstance(route, dict) else None
    first = [body["model"]] if body.get("model") else []
    models = list(dict.fromkeys([*first, *(body.get("models") or []), *(fallbacks or [])]))
    if not models:
        raise InvalidRequestError(
            "`model` is missing: name one, e.g. one of GET /api/v1/models.", param="model"
        )
    if len(models) > MAX_MODELS:
        raise InvalidRequestError(
            f"{len(models)} models were named; {MAX_MODELS} is the most a request may.",
            param="models",
        )
    return models
