"""From a body as it came to a job ready for submission, be it of a call, a job or a batch line."""

import orjson

from broker import plugins, routing, submission
from broker.accounts import Principal
from broker.bodies import SCHEMAS, validated
from broker.catalog import Catalog
from broker.completion import Json
from broker.errors import InvalidRequestError, ModalityError
from broker.settings import Settings
from broker.submission import NewJob, Wish


def admit(
    body: Json,
    wish: Wish,
    principal: Principal,
    catalog: Catalog,
    settings: Settings,
    *,
    inside: str | None = None,
) -> NewJob:
    """Validate a body (found `inside` another body, perhaps) and prepare its job.

    Raises WaybillError where it cannot be done; nothing is written.
    """
    validated(SCHEMAS[wish.operation], body, inside=inside)
    plugins.check(body)
    endpoints = catalog.endpoints(routing.requested_models(body), wish.operation)
    try:
        return submission.prepare(body, wish, principal, endpoints, settings)
    except ModalityError as error:
        raise error.naming(catalog.taking(error.needs, wish.operation)) from None
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        raise InvalidRequestError(
            "The body is nested too deeply.", param=inside or "body"
        ) from None
