"""Builds the body of a generateContent request from a chat body.

Source: ai.google.dev/api/generate-content. What has no counterpart there is left out.
"""

from broker.completion import CompletionRequest, Json
from workers.adapters.gemini.config import format_in_words, generation_config
from workers.adapters.gemini.messages import read_conversation
from workers.adapters.gemini.models import Model
from workers.adapters.gemini.quirks import Quirk
from workers.adapters.gemini.tools import read_choice, read_tools
from workers.adapters.legacy_functions import with_tools
from workers.adapters.refusals import refuse_rare_formats

_OWN_FIELDS = {"safety_settings": "safetySettings", "cached_content": "cachedContent"}


def request_body(request: CompletionRequest, quirks: frozenset[str]) -> Json:
    """Return the body to send; `request.body` is left as it was."""
    body, model = with_tools(request.body), Model.named(request.model)
    refuse_rare_formats(body)
    # Vertex AI's stable version refuses ids in calls; they are matched by name and order.
    ids = Quirk.VERTEX not in quirks
    conversation = read_conversation(body.get("messages"), model, ids=ids)
    sent: Json = {"contents": conversation.contents}
    instruction = conversation.instruction
    if told := format_in_words(body, model):
        instruction = [*instruction, {"text": told}]
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
