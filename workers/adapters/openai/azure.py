"""Azure OpenAI and Azure AI Foundry: OpenAI's wire at other addresses.

Rules: the Azure OpenAI REST API reference, "Chat completions", and "API version lifecycle". With a
dated `options["api_version"]` the model is a deployment named in the path; without one, or with
`v1`, `preview` or `latest`, it is the version 1 surface. A `base_url` that ends in `/models` is
Foundry's own surface. Content filter results in answers are passed over like all unknown fields.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from broker.completion import CompletionRequest
from workers.adapters.base import HttpRequest, Upstream
from workers.adapters.openai import OpenAiAdapter
from workers.adapters.openai.quirks import Quirk

_V1 = "/openai/v1"
_FOUNDRY = "/models"


class AzureAdapter(OpenAiAdapter):
    """See `Adapter`. `options["auth"] = "entra"`: the key is an Entra ID token."""

    wire = "azure"
    accepts = frozenset({"image", "audio"})
    fetches = frozenset({"image"})

    def request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        return super().request(request, addressed(upstream))


def addressed(upstream: Upstream) -> Upstream:
    """Return `upstream` with the address and quirks its API version asks for."""
    base = upstream.base_url.rstrip("/")
    quirks = set(upstream.quirks)
    if upstream.options.get("auth") != "entra":
        quirks.add(Quirk.API_KEY_HEADER)
    if not base.endswith(_FOUNDRY):
        host = base.removesuffix(_V1).removesuffix("/openai")
        dated = _is_dated(upstream.options)
        if dated:
            quirks.add(Quirk.DEPLOYMENT_URL)
        base = host if dated else host + _V1
    return replace(upstream, base_url=base, quirks=frozenset(quirks))


def _is_dated(options: Mapping[str, Any]) -> bool:
    return str(options.get("api_version") or "v1")[:1].isdigit()
