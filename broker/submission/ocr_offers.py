"""Find the provider that reads the documents of a request by OCR."""

from broker.accounts import Principal
from broker.catalog import Catalog
from broker.completion import Json
from broker.errors import InvalidRequestError
from broker.providers.endpoints import Endpoint
from broker.requests.plugins import FILE_PARSER, Engine, read_file_parser
from broker.routing import OcrOffer, read_preferences
from broker.routing.requirements import list_media_parts
from broker.settings import Settings

WIRE = "mistral"
"""The wire of the providers that have Mistral's API for OCR."""


def find_ocr_offer(
    body: Json, principal: Principal, catalog: Catalog, settings: Settings
) -> OcrOffer | None:
    """Return the offer for a body that names the engine `mistral-ocr`, or None for others.

    Raises InvalidRequestError if no provider is configured or may get the document.
    """
    parser = read_file_parser(body.get("plugins"))
    count = sum(1 for _ in list_media_parts(body))
    if not parser.enabled or parser.engine is not Engine.OCR or not count:
        return None
    most = settings.max_scanned_pages
    if parser.max_pages is not None:
        most = min(most, count * parser.max_pages)
    model = catalog.models.get(settings.ocr_model)
    offered = [] if model is None else [e for e in model.endpoints if _can_read(e, catalog)]
    if not offered:
        raise _refusal("no provider of it is configured here: set MISTRAL_API_KEY")
    allowed = principal.allowed_providers
    permitted = [each for each in offered if allowed is None or each.provider in allowed]
    if not permitted:
        raise _refusal("this key may use none of its providers: use another key")
    chosen = [each for each in permitted if _may_read(each, body)]
    if not chosen:
        raise _refusal("its providers do not have the data policy that `provider` requires")
    cheapest = min(chosen, key=lambda each: each.price.page)
    return OcrOffer(cheapest.provider, cheapest.native, cheapest.price.page, most)


def _can_read(endpoint: Endpoint, catalog: Catalog) -> bool:
    return catalog.providers[endpoint.provider].wire == WIRE


def _may_read(endpoint: Endpoint, body: Json) -> bool:
    """Return whether the data policy of the endpoint is what the request requires."""
    preferences, policy = read_preferences(body), endpoint.data_policy
    return (preferences.data_collection or not policy.collects) and (
        not preferences.zdr or policy.zdr
    )


def _refusal(reason: str) -> InvalidRequestError:
    others = f"{Engine.LOCAL.value}, {Engine.TEXT.value} or {Engine.NATIVE.value}"
    return InvalidRequestError(
        f"plugins: {FILE_PARSER} cannot use the PDF engine {Engine.OCR.value!r}, because {reason}, "
        f"or choose {others}.",
        param="plugins",
    )
