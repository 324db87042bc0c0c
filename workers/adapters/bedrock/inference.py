"""Converse's `inferenceConfig` (API_runtime_InferenceConfiguration)."""

from broker.completion import Json
from workers.adapters.reasoning import output_limit


def inference_config(asked: Json) -> Json:
    """Return the fields all models share, as far as the request sets them."""
    fields: Json = {}
    if (limit := output_limit(asked)) is not None:
        fields["maxTokens"] = limit
    for name, own_name in (("temperature", "temperature"), ("top_p", "topP")):
        if isinstance(value := asked.get(name), int | float):
            fields[own_name] = min(max(value, 0), 1)  # Converse's range for both
    stop = asked.get("stop")
    stops = [stop] if isinstance(stop, str) else stop
    if isinstance(stops, list) and (kept := [one for one in stops if isinstance(one, str) and one]):
        fields["stopSequences"] = kept
    return fields


def drop_inference(body: Json, *names: str) -> None:
    """Take fields out of `inferenceConfig`, and it too if nothing is left."""
    inference = body.pop("inferenceConfig", {})
    if kept := {name: value for name, value in inference.items() if name not in names}:
        body["inferenceConfig"] = kept
