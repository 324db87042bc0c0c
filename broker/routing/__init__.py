"""Plan which endpoints serve a request, in which order, and why. Pure.

Reading order, each standing on the ones before it:

requirements  the capabilities that a request requires of an endpoint
fields        reads the fields of a body that concern routing
preferences   the caller's preferences, and the suffixes of slugs
filters       hard conditions, and the error when nothing is left
candidates    who is left, with cost, speed and health as expected
ordering      shares of the traffic and all other orders, with the reason for each step
plans         the result, also as it is stored with its job
classifier    the kind of task that a chat is
auto_router   the auto router's choice of models
planning      all of it, in one function

Beside it: `workspace_credentials` and `native_batches` (changes to a plan), `waiting` (the step
that is free soonest), `cache_affinity` (the provider whose prompt cache knows a conversation).
"""

from broker.routing.auto_router import ROUTERS, auto_options, names_free_model
from broker.routing.classifier import classify
from broker.routing.fields import MAX_MODELS, requested_models
from broker.routing.filters import Exclusion, suits
from broker.routing.planning import ORDINARY, RoutingContext, RoutingRequest, plan
from broker.routing.plans import Plan, PlanStep, decode, encode
from broker.routing.preferences import NO_PREFERENCES, Preferences, Sort, options, preferences
from broker.routing.requirements import NO_REQUIREMENTS, Requirements

__all__ = [
    "MAX_MODELS",
    "NO_PREFERENCES",
    "NO_REQUIREMENTS",
    "ORDINARY",
    "ROUTERS",
    "Exclusion",
    "Plan",
    "PlanStep",
    "Preferences",
    "Requirements",
    "RoutingContext",
    "RoutingRequest",
    "Sort",
    "auto_options",
    "classify",
    "decode",
    "encode",
    "names_free_model",
    "options",
    "plan",
    "preferences",
    "requested_models",
    "suits",
]
