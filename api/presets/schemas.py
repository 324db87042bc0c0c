"""Bodies of the routes under /presets."""

from typing import Annotated, TypeAlias

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from api.core.bodies import DescribedBody, JsonBody
from broker.dialects.messages.schemas import PromptBody
from broker.dialects.responses.schemas import ResponseRequest
from broker.requests.bodies import SCHEMAS
from broker.requests.operations import Operation

PRESET_BODY = DescribedBody(
    SCHEMAS[Operation.CHAT],
    {
        "model": "acme/small",
        "messages": [{"role": "system", "content": "Answer in one sentence."}],
        "temperature": 0.2,
    },
)

PRESET_MESSAGE_BODY = DescribedBody(
    PromptBody,
    {"model": "acme/small", "system": "Answer in one sentence.", "temperature": 0.2},
)
PRESET_RESPONSE_BODY = DescribedBody(
    ResponseRequest,
    {"model": "acme/small", "instructions": "Answer in one sentence.", "temperature": 0.2},
)


class PresetChoiceRequest(BaseModel):
    """The version that calls use from now on."""

    model_config = ConfigDict(extra="forbid")

    version: StrictInt = Field(description="The number of a version of this preset.")


PresetChoiceBody: TypeAlias = Annotated[
    PresetChoiceRequest, Depends(JsonBody(PresetChoiceRequest, {"version": 1}))
]
