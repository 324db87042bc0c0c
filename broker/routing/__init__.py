"""Which endpoints may serve a request, in which order, and why. Pure: values in, values out.

Reading order, each standing on the ones before it:

endpoint      one model at one provider
demand        what a request needs of it
preferences   what its caller wishes (`reading`: checked field by field)
requested     the models a body asks for; `variants`: their suffixes
filters       hard conditions, and who failed which
candidates    who is left, with cost, speed and health as expected
shares        the default order: shares of the traffic, and a draw by them
ordering      all orders, with the reason for each place
plans         the result; `stored`: as it is kept with its job
refusals      nothing is left: what did it
classifier    what kind of task a chat is; `auto_wishes`: what an auto router may choose from;
              `auto_router`: its choice of models
planning      all of it, in one function
"""

from broker.routing.auto_options import ROUTERS, auto_wishes, names_free_model
from broker.routing.classifier import classify
from broker.routing.demand import NO_NEEDS, Needs
from broker.routing.filters import Exclusion, suits
from broker.routing.planning import ORDINARY, Ask, Circumstances, plan
from broker.routing.plans import Plan, PlannedEndpoint
from broker.routing.preferences import NO_PREFERENCES, Preferences, Sort, options, preferences
from broker.routing.requested import MAX_MODELS, requested_models
from broker.routing.stored import decode, encode

__all__ = [
    "MAX_MODELS",
    "NO_NEEDS",
    "NO_PREFERENCES",
    "ORDINARY",
    "ROUTERS",
    "Ask",
    "Circumstances",
    "Exclusion",
    "Needs",
    "Plan",
    "PlannedEndpoint",
    "Preferences",
    "Sort",
    "auto_wishes",
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
