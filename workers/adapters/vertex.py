"""URLs and credentials of Google's Vertex AI, which serves Gemini and other publishers' models.

Source: cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference (projects and
locations) and …/docs/start/express-mode/overview (an API key and no project).
"""

from urllib.parse import quote, urlsplit

from workers.adapters.base import Upstream

_GLOBAL_HOST = "aiplatform.googleapis.com"


def model_url(upstream: Upstream, publisher: str, model: str, method: str) -> str:
    """Return the URL of a model's method. `options` may have `project` and `region`."""
    base = upstream.base_url
    project = upstream.options.get("project")
    region = str(upstream.options.get("region") or "global")
    if project and region != "global" and urlsplit(base).netloc == _GLOBAL_HOST:
        base = base.replace(_GLOBAL_HOST, f"{region}-{_GLOBAL_HOST}", 1)
    location = f"/projects/{quote(str(project), safe='')}/locations/{region}" if project else ""
    name = quote(model, safe="@")
    return f"{base}{location}/publishers/{publisher}/models/{name}:{method}"


def auth_headers(upstream: Upstream) -> dict[str, str]:
    """Return the header with the key. Express mode, without a project, has no bearer tokens."""
    if not upstream.api_key:
        return {}
    if upstream.options.get("project"):
        return {"authorization": f"Bearer {upstream.api_key}"}
    return {"x-goog-api-key": upstream.api_key}
