"""Plan the endpoints that serve a request, in order, with reasons. Pure.

Reading order; each module uses those before it:

requirements  the capabilities that a request requires of an endpoint
fields        reads the fields of a body that concern routing
preferences   the caller's preferences, and the suffixes of slugs
filters       hard conditions, and the error when no endpoint passes
candidates    endpoints with their expected cost, speed and health
ordering      shares of the traffic and all other orders, with the reason for each step
plans         the result, also as it is stored with its job
classifier    the kind of task that a chat is
auto_router   the auto router's choice of models
planning      the whole plan, in one function

Besides: `workspace_credentials` and `native_batches` (changes to a plan), `waiting` (the step
that is free soonest), `cache_affinity` (the provider whose prompt cache has a conversation).
"""

from broker.routing.auto_router import ROUTERS, names_free_model, read_auto_options
from broker.routing.classifier import classify
from broker.routing.fields import MAX_MODELS, requested_models
from broker.routing.filters import Exclusion, meets_requirements
from broker.routing.planning import ORDINARY, RoutingContext, RoutingRequest, plan
from broker.routing.plans import OcrOffer, Plan, PlanStep, decode_plan, encode_plan
from broker.routing.preferences import (
    NO_PREFERENCES,
    Preferences,
    Sort,
    read_preferences,
    read_provider_options,
)
from broker.routing.requirements import NO_REQUIREMENTS, Requirements

__all__ = [
    "MAX_MODELS",
    "NO_PREFERENCES",
    "NO_REQUIREMENTS",
    "ORDINARY",
    "ROUTERS",
    "Exclusion",
    "OcrOffer",
    "Plan",
    "PlanStep",
    "Preferences",
    "Requirements",
    "RoutingContext",
    "RoutingRequest",
    "Sort",
    "classify",
    "decode_plan",
    "encode_plan",
    "meets_requirements",
    "names_free_model",
    "plan",
    "read_auto_options",
    "read_preferences",
    "read_provider_options",
    "requested_models",
]
