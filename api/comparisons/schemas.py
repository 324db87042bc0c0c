"""The body of POST /compare."""

from typing import Annotated, Any, TypeAlias

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.core.bodies import JsonBody
from api.jobs.schemas import Metadata

MAX_MODELS = 16
MAX_CELLS = 1_000

Prompt = Annotated[str, Field(min_length=1)]


class CompareRequest(BaseModel):
    """Prompts, and the models that answer each of them."""

    model_config = ConfigDict(extra="forbid")

    models: list[Prompt] = Field(
        min_length=1, max_length=MAX_MODELS, description="The slugs of the models."
    )
    prompt: Prompt | None = Field(None, description="A single prompt.")
    prompts: Annotated[list[Prompt], Field(min_length=1, max_length=MAX_CELLS)] | None = Field(
        None, description="Several prompts: a row for each."
    )
    system: Prompt | None = Field(None, description="The system prompt of every call.")
    body: dict[str, Any] = Field(
        {},
        description="Further fields of the chat body for every call, or `messages` in place of "
        "prompts.",
    )
    metadata: Metadata | None = Field(None, description="Your own names and values for the jobs.")

    @model_validator(mode="before")
    @classmethod
    def _refuse_messages(cls, value: Any) -> Any:
        if isinstance(value, dict) and "messages" in value:
            raise ValueError("give `prompt` or `prompts`, or put `messages` into `body`")
        return value

    @model_validator(mode="after")
    def _check_consistency(self) -> "CompareRequest":
        sources = (self.prompt, self.prompts, self.body.get("messages"))
        if sum(each is not None for each in sources) != 1:
            raise ValueError("give one of `prompt`, `prompts` and `body.messages`")
        if self.system is not None and self.body.get("messages") is not None:
            raise ValueError("`system` goes with prompts; with `body.messages`, put it there")
        if len(set(self.models)) != len(self.models):
            raise ValueError("`models` names a model twice")
        if self.body.keys() & {"model", "models", "stream"}:
            raise ValueError("`body` cannot have `model`, `models` or `stream` here")
        if len(self.models) * len(self.conversations()) > MAX_CELLS:
            raise ValueError(f"models times prompts is more than {MAX_CELLS}: make it several")
        return self

    def conversations(self) -> list[list[dict[str, Any]]]:
        """Return the messages of each row."""
        if self.body.get("messages") is not None:
            return [self.body["messages"]]
        begin = [{"role": "system", "content": self.system}] if self.system is not None else []
        prompts = [self.prompt] if self.prompts is None else self.prompts
        return [[*begin, {"role": "user", "content": prompt}] for prompt in prompts]


ComparisonBody: TypeAlias = Annotated[
    CompareRequest,
    Depends(
        JsonBody(
            CompareRequest,
            {"models": ["acme/small", "acme/large"], "prompt": "Why is the sky blue?"},
        )
    ),
]
