"""Which endpoints may serve a request, in which order, and why. Pure: values in, values out.

Reading order: `endpoint` (and what a request needs of one), `requested` (the models a body asks
for), `plans`, `planning`, `stored` (a plan as it is kept with its job).
"""

from broker.routing.endpoint import NO_NEEDS, UNKNOWN_POLICY, DataPolicy, Endpoint, Needs
from broker.routing.planning import plan
from broker.routing.plans import Plan, PlannedEndpoint
from broker.routing.requested import MAX_MODELS, requested_models
from broker.routing.stored import decode, encode

__all__ = [
    "MAX_MODELS",
    "NO_NEEDS",
    "UNKNOWN_POLICY",
    "DataPolicy",
    "Endpoint",
    "Needs",
    "Plan",
    "PlannedEndpoint",
    "decode",
    "encode",
    "plan",
    "requested_models",
]
