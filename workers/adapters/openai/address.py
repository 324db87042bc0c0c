"""Where OpenAI's endpoints are at a vendor, and what its requests carry."""

from urllib.parse import quote

from workers.adapters.base import Upstream
from workers.adapters.openai.quirks import Quirk

DEPLOYMENTS_API_VERSION = "2024-10-21"
"""Azure's last generally available dated version, used where the provider's row names none."""


def endpoint_url(path: str, model: str, upstream: Upstream) -> str:
    """Return the URL of `path`, e.g. `/embeddings`, for a model."""
    version = upstream.options.get("api_version")
    if Quirk.DEPLOYMENT_URL in upstream.quirks:
        path = f"/openai/deployments/{quote(model, safe='')}{path}"
        version = version or DEPLOYMENTS_API_VERSION
    query = f"?api-version={quote(str(version), safe='')}" if version else ""
    return f"{upstream.base_url}{path}{query}"


def request_headers(
    upstream: Upstream, *, accept: str = "application/json", content: str = "application/json"
) -> dict[str, str]:
    """Return the headers of a request: types, credentials, and what the provider's row adds."""
    headers = {"content-type": content, "accept": accept}
    if upstream.api_key and Quirk.API_KEY_HEADER in upstream.quirks:
        headers["api-key"] = upstream.api_key
    elif upstream.api_key:
        headers["authorization"] = f"Bearer {upstream.api_key}"
    return headers | {name.lower(): value for name, value in upstream.headers.items()}
