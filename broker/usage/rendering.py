"""The `usage` object of answers, jobs and batches. Pure."""

from broker.completion import Json
from broker.money import usd


def render_usage(
    prompt_tokens: int,
    completion_tokens: int,
    *,
    cost_nanos: int,
    is_byok: bool,
    upstream_cost_nanos: int | None = None,
    prompt_details: Json | None = None,
    completion_details: Json | None = None,
) -> Json:
    """Return token counts under OpenAI's names, and the cost under OpenRouter's, in US dollars.

    `upstream_cost_nanos` is the charge of the provider, if it is known.
    """
    body: Json = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "cost": usd(cost_nanos),
        "is_byok": is_byok,
    }
    if prompt_details is not None:
        body["prompt_tokens_details"] = prompt_details
    if completion_details is not None:
        body["completion_tokens_details"] = completion_details
    if upstream_cost_nanos is not None:
        body["cost_details"] = {"upstream_inference_cost": usd(upstream_cost_nanos)}
    return body
