"""Where Cohere's endpoints are, and what its requests carry."""

from workers.adapters.base import Upstream


def cohere_url(upstream: Upstream, path: str) -> str:
    """Return the URL of `path`, which names its version; the base may name one too."""
    return f"{upstream.base_url.rstrip('/').removesuffix('/v2')}{path}"


def cohere_headers(upstream: Upstream, *, accept: str = "application/json") -> dict[str, str]:
    headers = {"content-type": "application/json", "accept": accept}
    if upstream.api_key:
        headers["authorization"] = f"Bearer {upstream.api_key}"
    return headers | {name.lower(): value for name, value in upstream.headers.items()}
