"""Models that make images, in OpenRouter's shape (`ImageModelListItem`, `ImageEndpoint`)."""

from collections.abc import Iterable, Mapping

from broker.catalog import Model
from broker.completion import Json
from broker.money import usd
from broker.pricing import Price
from broker.providers.endpoints import Endpoint
from broker.requests.image_models import ImageModel, find_image_model

PER_TOKEN = 1_000_000
"""Prices of tokens are per million; those of the list are for one."""

STREAMING_WIRES = frozenset({"openai", "azure"})


def render_image_model(entry: Model, wires: Mapping[str, str]) -> Json:
    """Render a model for GET /images/models; `wires` are those of the providers."""
    known = find_image_model(entry.slug)
    return {
        "id": entry.slug,
        "name": entry.name,
        "created": entry.created,
        "description": entry.description,
        "architecture": {
            "input_modalities": list(entry.input_modalities),
            "output_modalities": list(entry.output_modalities),
        },
        "supported_parameters": _describe_options(known),
        "supports_streaming": any(_streams(each, known, wires) for each in entry.endpoints),
        "endpoints": f"/api/v1/images/models/{entry.slug}/endpoints",
    }


def render_image_endpoints(
    entry: Model, names: Mapping[str, str], wires: Mapping[str, str]
) -> Json:
    """Render a model's endpoints; `names` are the providers' display names."""
    known = find_image_model(entry.slug)
    return {
        "id": entry.slug,
        "endpoints": [
            {
                "provider_name": names.get(each.provider, each.provider),
                "provider_slug": each.provider,
                "provider_tag": each.provider,
                "supported_parameters": _describe_options(known),
                "supports_streaming": _streams(each, known, wires),
                "allowed_passthrough_parameters": [],
                "pricing": list(_list_prices(each.price)),
            }
            for each in entry.endpoints
        ],
    }


def _describe_options(known: ImageModel | None) -> Json:
    return {} if known is None else dict(known.describe_options())


def _streams(each: Endpoint, known: ImageModel | None, wires: Mapping[str, str]) -> bool:
    """Return whether an endpoint sends partial images, as far as its model is known."""
    return wires.get(each.provider) in STREAMING_WIRES and (known is None or known.streams)


def _list_prices(price: Price) -> Iterable[Json]:
    yield from _list_piece_prices(price)
    tokens = {
        "input_text": price.prompt,
        "input_image": price.image_token,
        "output_image": price.image_output_token or price.completion,
    }
    for billable, nanos in tokens.items():
        if nanos:
            yield {"billable": billable, "unit": "token", "cost_usd": usd(nanos) / PER_TOKEN}


def _list_piece_prices(price: Price) -> Iterable[Json]:
    pieces = {"output_image": price.image_output, "input_image": price.image}
    for billable, nanos in pieces.items():
        if nanos:
            yield {"billable": billable, "unit": "image", "cost_usd": usd(nanos)}
    for rate in price.pictures:
        named = "-".join(each for each in (rate.quality, rate.size) if each)
        shown = {"billable": "output_image", "unit": "image", "cost_usd": usd(rate.nanos)}
        yield {**shown, "variant": named} if named else shown
    if price.request:
        yield {"billable": "output_image", "unit": "request", "cost_usd": usd(price.request)}
