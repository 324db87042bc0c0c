"""The body of POST /evaluations."""

from typing import Annotated, TypeAlias

from fastapi import Depends
from pydantic import Field, StringConstraints, model_validator

from api.core.bodies import JsonBody
from broker.completion import Json
from broker.evaluations.replay import ReplaySearch
from broker.evaluations.specification import MAX_PROMPTS, RECORDED, Prompt, Specification

Name = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]
EXAMPLE: Json = {
    "models": ["acme/small", "acme/large"],
    "prompts": [{"prompt": "What is 6 times 7? Answer with the number.", "expected": "42"}],
    "samples": 2,
    "graders": [{"type": "exact"}],
    "max_cost": 1.5,
}


class EvaluationRequest(Specification):
    """An evaluation: prompts, the models that answer them, and how answers are graded."""

    name: Name | None = Field(None, description="Your own name of the evaluation.")
    prompts: list[Prompt] | None = Field(
        None, min_length=1, max_length=MAX_PROMPTS, description="The prompts."
    )
    dataset_file_id: str | None = Field(
        None,
        description="An uploaded file with the prompts, in place of `prompts`: JSONL, JSON, CSV or "
        "TSV, by the end of its name.",
    )
    replay: ReplaySearch | None = Field(
        None,
        description="Past jobs whose prompts are sent again, in place of `prompts`. Their answers "
        "are the column `recorded`, and the expected answers.",
    )
    completion_window: str = Field(
        "24h", description="The time that the evaluation may take: 15m to 7d."
    )
    max_cost: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="The most that all calls may cost, graders included, in US dollars.",
    )

    @model_validator(mode="after")
    def _check_prompts(self) -> "EvaluationRequest":
        sources = (self.prompts, self.dataset_file_id, self.replay)
        if sum(each is not None for each in sources) != 1:
            raise ValueError("give one of `prompts`, `dataset_file_id` and `replay`")
        if self.baseline == RECORDED and self.replay is None:
            raise ValueError(f"`baseline` is {RECORDED!r} in a replay only")
        return self

    def read_specification(self) -> Specification:
        """Return the part that is stored with the evaluation."""
        fields = set(Specification.model_fields)
        return Specification.model_validate(self.model_dump(include=fields, by_alias=True))


EvaluationBody: TypeAlias = Annotated[
    EvaluationRequest, Depends(JsonBody(EvaluationRequest, EXAMPLE))
]
