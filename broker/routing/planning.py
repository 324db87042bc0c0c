"""Which endpoints may serve a request, in which order, and why."""

from collections.abc import Mapping, Sequence
from typing import NoReturn

from broker import parameters
from broker.errors import ModalityError, NoEndpointError
from broker.routing.endpoint import NO_NEEDS, Endpoint, Needs
from broker.routing.plans import Plan, PlannedEndpoint


def plan(
    models: Sequence[str],
    endpoints: Mapping[str, Sequence[Endpoint]],
    needs: Needs = NO_NEEDS,
) -> Plan:
    """Order the endpoints of `models`: first choice first, within a model the cheapest first.

    `endpoints` holds what each slug can be served by now; those that do not meet `needs` are left
    out, those that lack a preferred parameter come last. A fallback model that nobody serves is
    passed over. Raises NoEndpointError when nothing is left, or ModalityError when it was the
    modalities that left nothing.
    """

    def order(endpoint: Endpoint) -> tuple[int, int]:
        lacking = endpoint.lacks(needs.parameters & parameters.PREFERRED)
        return len(lacking), endpoint.price.prompt + endpoint.price.completion

    able = {
        model: sorted((each for each in endpoints.get(model, ()) if needs.met_by(each)), key=order)
        for model in models
    }
    places = [
        PlannedEndpoint(endpoint, _reason(rank, place))
        for rank, model in enumerate(models)
        for place, endpoint in enumerate(able[model])
    ]
    if not places:
        _refuse(models, endpoints, needs)
    return Plan(places)


def _refuse(
    models: Sequence[str], endpoints: Mapping[str, Sequence[Endpoint]], needs: Needs
) -> NoReturn:
    """Say what left nothing."""
    served = [endpoint for model in models for endpoint in endpoints.get(model, ())]
    if not served:
        raise NoEndpointError(
            f"No configured provider serves {', '.join(models)}: configure one, or choose a model "
            "of GET /api/v1/models.",
            param="model",
        )
    if not any(endpoint.takes(needs.modalities) for endpoint in served):
        raise ModalityError(models, needs.modalities)
    lacking = frozenset.intersection(*(each.lacks(needs.parameters) for each in served))
    raise NoEndpointError(
        f"No endpoint of {', '.join(models)} supports all of the request's parameters (lacking: "
        f"{', '.join(sorted(lacking)) or 'a different one each'}), and provider.require_parameters "
        "is set.",
        param="provider.require_parameters",
    )


def _reason(rank: int, place: int) -> str:
    model = "requested model" if rank == 0 else f"fallback model {rank}"
    return f"{model}, {'cheapest endpoint' if place == 0 else f'endpoint {place + 1} by price'}"
