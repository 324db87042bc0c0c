"""Builds the body of a Converse request.

What Converse does not know (`seed`, `n`, penalties, `logit_bias`, `parallel_tool_calls`,
`response_format: json_object`, …) is left out; what only some models know goes into
`additionalModelRequestFields` for those (`model_fields`).
"""

from typing import Any

import orjson

from broker.completion import CompletionRequest, Json
from workers.adapters.bedrock.inference import inference_config
from workers.adapters.bedrock.messages import Conversation
from workers.adapters.bedrock.model_fields import apply_model_fields
from workers.adapters.bedrock.tools import tool_config
from workers.adapters.legacy_functions import with_tools
from workers.adapters.refusals import refuse_rare_formats

_OWN = (
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "outputConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
)
"""Converse's own fields, passed on where a caller gives them."""

_ALIASES = {"fast": "priority"}  # OpenRouter's name
_TIERS = frozenset({"default", "flex", "priority", "reserved"})


def request_body(request: CompletionRequest) -> Json:
    """Return the body to send; `request.body` is left as it was."""
    asked = with_tools(request.body)
    refuse_rare_formats(asked)
    told = Conversation(asked.get("messages"))
    body: Json = {"messages": told.messages}
    if told.system:
        body["system"] = told.system
    if inference := inference_config(asked):
        body["inferenceConfig"] = inference
    if tools := tool_config(asked, told.messages):
        body["toolConfig"] = tools
    if form := _text_format(asked.get("response_format")):
        body["outputConfig"] = {"textFormat": form}
    tier = _ALIASES.get(str(asked.get("service_tier")), asked.get("service_tier"))
    if tier in _TIERS:
        body["serviceTier"] = {"type": tier}
    apply_model_fields(body, asked, request.model)
    for name in _OWN:
        if isinstance(given := asked.get(name), dict):
            body[name] = {**body.get(name, {}), **given}
        elif given is not None:
            body[name] = given
    return body


def _text_format(form: Any) -> Json | None:
    """Return a JSON schema as Converse's `textFormat`, which wants the schema as a string."""
    named = form.get("json_schema") if isinstance(form, dict) else None
    if not isinstance(named, dict) or not isinstance(named.get("schema"), dict):
        return None
    schema: Json = {"schema": orjson.dumps(named["schema"]).decode()}
    schema |= {name: named[name] for name in ("name", "description") if named.get(name)}
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}
