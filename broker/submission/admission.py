"""From a body as it came to a job ready for submission, be it of a call, a job or a batch line."""

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
from broker.submission.options import JobOptions, NewJob
from broker.submission.preparation import prepare

RECEIVER_FIELDS = ("webhook", "callback_url")
"""Fields of a call that name who is told of its end; they are no part of a job's own body."""


def admit(
    body: Json,
    wish: JobOptions,
    principal: Principal,
    catalog: Catalog,
    settings: Settings,
    *,
    inside: str | None = None,
    now: RoutingContext = ORDINARY,
) -> NewJob:
    """Validate a body (found `inside` another body, perhaps) and prepare its job.

    `now` is what is known of the endpoints; the models' fits are added to it.
    Raises WaybillError where it cannot be done; nothing is written.
    """
    validated(SCHEMAS[wish.operation], body, inside=inside)
    plugins.check(body)
    _refuse_preset(body)
    _refuse_receiver(body, inside)
    named, own = routing.requested_models(body), principal.own_keys
    served = catalog.endpoints(named, wish.operation, own.providers, _requirements(body, named))
    endpoints = access.filter_endpoints(
        principal, workspace_credentials.restrict_choice(served, named, own)
    )
    circumstances = replace(now, fits=load_task_fit())
    try:
        return prepare(body, wish, principal, endpoints, settings, circumstances)
    except ModalityError as error:
        raise error.naming(catalog.list_accepting(error.needs, wish.operation)) from None
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        raise InvalidRequestError(
            "The body is nested too deeply.", param=inside or "body"
        ) from None


def _requirements(body: Json, named: Sequence[str]) -> Requirements:
    """Return what the body needs, if a model is named that depends on it."""
    return (
        requirements.find_requirements(body)
        if any(name.startswith(LATEST) for name in named)
        else NO_REQUIREMENTS
    )


def _refuse_receiver(body: Json, inside: str | None) -> None:
    """Raise for a receiver that nobody has taken out: it would hear of nothing."""
    if found := [name for name in RECEIVER_FIELDS if body.get(name) is not None]:
        field = ".".join([*([inside] if inside else []), found[0]])
        raise InvalidRequestError(
            f"{field}: a webhook stands beside the `body` of a job, and a batch has one for all of "
            "its lines. Here it would be told nothing.",
            param=field,
        )


def _refuse_preset(body: Json) -> None:
    """Raise for a preset that nobody has merged: it would be passed over in silence."""
    if presets.find_slug(body) is not None:
        raise InvalidRequestError(
            "Presets are for chat: completions, jobs and lines of a batch. Name a model here.",
            param="preset" if body.get("preset") else "model",
        )
