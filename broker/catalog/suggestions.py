"""Messages about a model that is not available: similar names, and what would help. Pure."""

import difflib
from collections.abc import Collection, Mapping

from broker.catalog.models import Model
from broker.providers.vendors import vendors
from broker.requests.operations import Interface, speaks

MOST_COMPARED = 100  # characters of a name that are compared with the others
NEAREST = 3
ALIKE = 0.5  # how much of a name must be right

APIS: Mapping[Interface, str] = {
    Interface.RESPONSES: "the Responses API",
    Interface.REALTIME: "a realtime API",
}


def hint(name: str, names: Collection[str]) -> str:
    """Return the sentence that asks whether one of these names was meant, or nothing."""
    near = difflib.get_close_matches(name[:MOST_COMPARED], names, n=NEAREST, cutoff=ALIKE)
    near = [each for each in near if each != name]
    return f" Did you mean {', '.join(near)}?" if near else ""


def remedy(model: Model, providers: Collection[str], wires: Mapping[str, str]) -> str:
    """Say what stands in the way of a known model: its API, or a key that nobody has set."""
    for each in model.endpoints:
        if each.provider in providers and not speaks(wires[each.provider], each.interface):
            return (
                f"{each.provider} serves it by {APIS[each.interface]} only, which Waybill does not "
                "call."
            )
    keys = [
        vendors()[each.provider].key[0].replace(":", " and ")
        for each in model.endpoints
        if each.provider in vendors()
        and vendors()[each.provider].key
        and speaks(wires[each.provider], each.interface)
    ]
    if not keys:
        return "no provider serves it by an API that Waybill calls."
    return f"its operator would set {' or '.join(dict.fromkeys(keys[:3]))}."
