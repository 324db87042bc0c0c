"""Check a body of a call, a job or a batch line, and prepare its job for submission."""

from collections.abc import Sequence
from dataclasses import replace

import orjson

from broker import presets, routing
from broker.accounts import Principal, access
from broker.catalog import LATEST, Catalog, load_task_fit
from broker.completion import Json
from broker.errors import InvalidRequestError, ModalityError
from broker.requests import plugins
from broker.requests.bodies import SCHEMAS, validated
from broker.routing import (
    NO_REQUIREMENTS,
    ORDINARY,
    Requirements,
    RoutingContext,
    requirements,
    workspace_credentials,
)
from broker.settings import Settings
from broker.submission.ocr_offers import find_ocr_offer
from broker.submission.options import JobOptions, NewJob
from broker.submission.preparation import prepare

RECEIVER_FIELDS = ("webhook", "callback_url")
"""Fields of a call that name a webhook receiver; a job's body does not contain them."""


def admit(
    body: Json,
    options: JobOptions,
    principal: Principal,
    catalog: Catalog,
    settings: Settings,
    *,
    inside: str | None = None,
    context: RoutingContext = ORDINARY,
) -> NewJob:
    """Validate a body and prepare its job; `inside` is the field that contains the body.

    The models' fits are added to `context`. Raises WaybillError; nothing is written.
    """
    validated(SCHEMAS[options.operation], body, inside=inside)
    plugins.check(body)
    _refuse_preset(body)
    _refuse_receiver(body, inside)
    models, credentials = routing.requested_models(body), principal.own_keys
    served = catalog.endpoints(
        models, options.operation, credentials.providers, _requirements(body, models)
    )
    endpoints = access.filter_endpoints(
        principal, workspace_credentials.restrict_choice(served, models, credentials)
    )
    offer = find_ocr_offer(body, principal, catalog, settings)
    routing_context = replace(context, fits=load_task_fit(), ocr=offer)
    try:
        return prepare(body, options, principal, endpoints, settings, routing_context)
    except ModalityError as error:
        raise error.with_alternatives(
            catalog.list_accepting(error.needs, options.operation)
        ) from None
    except orjson.JSONEncodeError:  # orjson reads deeper nesting than it writes
        raise InvalidRequestError(
            "The body is nested too deeply.", param=inside or "body"
        ) from None


def _requirements(body: Json, models: Sequence[str]) -> Requirements:
    """Return the requirements of the body, if one of the models depends on them."""
    return (
        requirements.find_requirements(body)
        if any(name.startswith(LATEST) for name in models)
        else NO_REQUIREMENTS
    )


def _refuse_receiver(body: Json, inside: str | None) -> None:
    """Raise InvalidRequestError for a receiver in a body that must not have one."""
    if found := [name for name in RECEIVER_FIELDS if body.get(name) is not None]:
        field = ".".join([*([inside] if inside else []), found[0]])
        raise InvalidRequestError(
            f"{field}: a webhook stands beside the `body` of a job, and a batch has one for all of "
            "its lines. Here it would receive nothing.",
            param=field,
        )


def _refuse_preset(body: Json) -> None:
    """Raise InvalidRequestError for a preset in a body of another operation than chat."""
    if presets.find_slug(body) is not None:
        raise InvalidRequestError(
            "Presets are for chat: completions, jobs and lines of a batch. Name a model here.",
            param="preset" if body.get("preset") else "model",
        )
