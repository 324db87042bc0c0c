"""Body of a generateContent request."""

import json
from typing import Any

from broker.completion import CompletionRequest, Json
from workers.adapters.base import read_stop_sequences, refuse_rare_formats
from workers.adapters.gemini.messages import read_conversation
from workers.adapters.gemini.models import GeminiModel, GeminiQuirk
from workers.adapters.gemini.tools import openapi_schema, read_choice, read_tools, without_dialect
from workers.adapters.reasoning import (
    hides_reasoning,
    read_output_limit,
    read_reasoning_options,
    refuse_off,
)
from workers.adapters.tool_calls import with_tools

_NAMES = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
}
_PENALTIES = {"presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty"}
_LEVELS = {"minimal": "minimal", "low": "low", "medium": "medium"}
_MOST_STOPS = 5
_IMAGE_CONFIG = {"aspect_ratio": "aspectRatio", "image_size": "imageSize"}


def generation_config(body: Json, model: GeminiModel) -> Json:
    """Return the configuration. Fields that the request does not set are left out."""
    names = _NAMES | _PENALTIES if model.takes_penalties else _NAMES
    config: Json = {n: body[given] for given, n in names.items() if body.get(given) is not None}
    if limit := read_output_limit(body):
        config["maxOutputTokens"] = limit
    if stops := read_stop_sequences(body, _MOST_STOPS):
        config["stopSequences"] = stops
    if isinstance(count := body.get("n"), int) and count > 1:
        config["candidateCount"] = count
    if body.get("logprobs") is True:
        config["responseLogprobs"] = True
        if top := body.get("top_logprobs"):
            config["logprobs"] = top
    _set_format(config, body, model)
    _set_modalities(config, body)
    if thinking := _thinking(body, model):
        config["thinkingConfig"] = thinking
    return config


def format_in_words(body: Json, model: GeminiModel) -> str | None:
    """Return the response format as an instruction, where the model has no field for it."""
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or model.takes_schema_with_tools or not body.get("tools"):
        return None
    if wanted.get("type") not in ("json_object", "json_schema"):
        return None
    text = "Give your final answer as a single valid JSON object and nothing else."
    schema = _schema(wanted)
    return f"{text} It must follow this JSON Schema: {json.dumps(schema)}" if schema else text


def _schema(wanted: Json) -> Json | None:
    held = wanted.get("json_schema")
    schema = held.get("schema") if isinstance(held, dict) else None
    return schema if isinstance(schema, dict) else None


def _set_format(config: Json, body: Json, model: GeminiModel) -> None:
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or format_in_words(body, model):
        return
    if wanted.get("type") not in ("json_object", "json_schema"):
        return
    config["responseMimeType"] = "application/json"
    if (schema := _schema(wanted)) and wanted["type"] == "json_schema":
        if model.takes_json_schema:
            config["responseJsonSchema"] = without_dialect(schema)
        else:
            config["responseSchema"] = openapi_schema(schema)


def _set_modalities(config: Json, body: Json) -> None:
    modalities = body.get("modalities")
    if isinstance(modalities, list) and any(modality != "text" for modality in modalities):
        config["responseModalities"] = [str(modality).upper() for modality in modalities]
    if isinstance(audio := body.get("audio"), dict) and audio.get("voice"):
        voice = {"prebuiltVoiceConfig": {"voiceName": audio["voice"]}}
        config["speechConfig"] = {"voiceConfig": voice}
    given = body.get("image_config")
    if isinstance(given, dict):
        image = {own: given[name] for name, own in _IMAGE_CONFIG.items() if given.get(name)}
        config |= {"imageConfig": image} if image else {}


def _thinking(body: Json, model: GeminiModel) -> Json | None:
    options, hidden = read_reasoning_options(body), hides_reasoning(body)
    if not model.takes_budget or (options.wanted is None and not hidden):
        return None
    if options.wanted is False:
        return _least_thinking(model)
    thinking: Json = {"includeThoughts": not hidden}
    if options.effort and model.takes_level:
        thinking["thinkingLevel"] = _level(options.effort, model)
    elif options.effort or options.max_tokens:
        least, most = model.budgets
        wanted = options.budget(read_output_limit(body) or most)
        thinking["thinkingBudget"] = min(max(wanted, least), most)
    return thinking


def _least_thinking(model: GeminiModel) -> Json:
    """Return the configuration with the least thinking.

    Raises ProviderFailureError for the pro models, which always think.
    """
    if "pro" in model.name:
        refuse_off(model.name)
    if model.takes_level:
        return {"includeThoughts": False, "thinkingLevel": _level("minimal", model)}
    return {"includeThoughts": False, "thinkingBudget": 0}


def _level(effort: str, model: GeminiModel) -> Any:
    level = _LEVELS.get(effort, "high")
    if level == "minimal" and "pro" in model.name:
        return "low"
    if level == "medium" and "pro" in model.name and model.version == (3, 0):
        return "high"  # 3 Pro has only low and high
    return level


_OWN_FIELDS = {"safety_settings": "safetySettings", "cached_content": "cachedContent"}


def build_body(request: CompletionRequest, quirks: frozenset[str]) -> Json:
    """Return the body to send. `request.body` is not changed."""
    body, model = with_tools(request.body), GeminiModel.from_name(request.model)
    refuse_rare_formats(body)
    # Vertex AI's stable version refuses ids in calls. It matches them by name and order.
    ids = GeminiQuirk.VERTEX not in quirks
    conversation = read_conversation(body.get("messages"), model, ids=ids)
    sent: Json = {"contents": conversation.contents}
    instruction = conversation.instruction
    if text := format_in_words(body, model):
        instruction = [*instruction, {"text": text}]
    if instruction:
        sent["systemInstruction"] = {"parts": instruction}
    if tools := read_tools(body, model):
        sent["tools"] = tools
        if "functionDeclarations" in tools[0] and (choice := read_choice(body, model)):
            sent["toolConfig"] = {"functionCallingConfig": choice}
    if config := generation_config(body, model):
        sent["generationConfig"] = config
    for given, name in _OWN_FIELDS.items():
        if value := body.get(given):
            sent[name] = value
    return sent
