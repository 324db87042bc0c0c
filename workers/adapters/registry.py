"""The wires Waybill speaks, by name. A new wire is one import and one line here."""

from collections.abc import Mapping

from workers.adapters.base import Adapter
from workers.adapters.openai import OpenAiAdapter

ADAPTERS: Mapping[str, Adapter] = {
    adapter.wire: adapter
    for adapter in (
        OpenAiAdapter(),
    )
}  # fmt: skip
