"""The graders of an evaluation as callers describe them. Pure.

A grader gives each answer a score from 0 to 1. Most graders also say whether the answer passed.
"""

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_PATTERN = 1_000  # characters
MAX_RUBRIC = 20_000  # characters
MAX_SCHEMA_BYTES = 100_000

ModelSlug = Annotated[str, Field(min_length=1, max_length=256)]
Rubric = Annotated[str, Field(min_length=1, max_length=MAX_RUBRIC)]


class _Grader(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        "",
        max_length=64,
        pattern=r"^[^\x00]*$",
        description="The name of the grader in the results; its type without one.",
    )

    @model_validator(mode="after")
    def _name_by_type(self) -> "_Grader":
        self.name = self.name or self.__class__.model_fields["type"].default
        return self


class _TextGrader(_Grader):
    ignore_case: bool = Field(default=False, description="Whether case makes no difference.")


class ExactGrader(_TextGrader):
    """Passes an answer that is equal to the expected answer, or to one of several."""

    type: Literal["exact"] = Field("exact", description="The answer is the expected one.")
    strip: bool = Field(
        default=True, description="Whether space at the beginning and the end makes no difference."
    )


class ContainsGrader(_TextGrader):
    """Passes an answer that contains the expected text, or one of several."""

    type: Literal["contains"] = Field(
        "contains", description="The answer contains the expected text."
    )
    all: bool = Field(default=False, description="Whether every expected text must be in it.")


class RegexGrader(_TextGrader):
    """Passes an answer in which a regular expression of Python's `re` finds something."""

    type: Literal["regex"] = Field("regex", description="The answer matches a pattern.")
    pattern: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_PATTERN,
        description="The regular expression; the expected answer of each prompt without it.",
    )

    @field_validator("pattern")
    @classmethod
    def _check_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"is not a regular expression: {error}") from None
        return value


class NumericGrader(_Grader):
    """Passes an answer whose last number is close to the expected number."""

    type: Literal["numeric"] = Field("numeric", description="The answer is a number.")
    tolerance: float = Field(
        0, ge=0, allow_inf_nan=False, description="The largest difference that passes."
    )
    relative_tolerance: float = Field(
        0,
        ge=0,
        allow_inf_nan=False,
        description="The largest difference that passes, as a share of the expected number.",
    )


class JsonSchemaGrader(_Grader):
    """Passes an answer that is JSON and valid under a JSON Schema."""

    type: Literal["json_schema"] = Field("json_schema", description="The answer is valid JSON.")
    json_schema: dict[str, Any] = Field(
        alias="schema", description="The JSON Schema (2020-12); patterns in it are not checked."
    )

    @field_validator("json_schema")
    @classmethod
    def _check_size(cls, value: dict[str, Any]) -> dict[str, Any]:
        if len(str(value)) > MAX_SCHEMA_BYTES:
            raise ValueError(f"may have {MAX_SCHEMA_BYTES:,} bytes at most")
        return value


class SimilarityGrader(_Grader):
    """Scores the cosine similarity of the embeddings of the answer and the expected answer."""

    type: Literal["similarity"] = Field(
        "similarity", description="The answer is similar to the expected one."
    )
    model: ModelSlug = Field(description="The slug of an embedding model.")
    threshold: float = Field(
        0.8, ge=-1, le=1, description="The least similarity with which an answer passes."
    )


class _ModelGrader(_Grader):
    model: ModelSlug = Field(description="The slug of the model that judges.")
    rubric: Rubric = Field(description="What makes an answer good.")
    body: dict[str, Any] = Field(
        default_factory=dict,
        description="Further fields of the chat body of each call of the judge.",
    )

    @field_validator("body")
    @classmethod
    def _check_body(cls, value: dict[str, Any]) -> dict[str, Any]:
        return refuse_fields(value, {"model", "models", "messages", "stream", "n"})


class JudgeGrader(_ModelGrader):
    """Lets a model score each answer by a rubric."""

    type: Literal["judge"] = Field("judge", description="A model scores the answer.")
    lowest: int = Field(1, ge=0, le=100, description="The lowest score of the judge's scale.")
    highest: int = Field(5, ge=1, le=100, description="The highest score of the judge's scale.")
    pass_score: float | None = Field(
        None, description="The least score with which an answer passes; without it, none is given."
    )

    @model_validator(mode="after")
    def _check_scale(self) -> "JudgeGrader":
        if self.lowest >= self.highest:
            raise ValueError("`lowest` must be less than `highest`")
        if self.pass_score is not None and not self.lowest <= self.pass_score <= self.highest:
            raise ValueError("`pass_score` must be between `lowest` and `highest`")
        return self


class PairwiseGrader(_ModelGrader):
    """Lets a model choose between an answer and the baseline's, twice, with the order swapped.

    The score is 1 for an answer that is chosen both times, 0 for one that is chosen neither time,
    and 0.5 otherwise. The judge does not learn which models answered.
    """

    type: Literal["pairwise"] = Field(
        "pairwise", description="A model chooses between the answer and the baseline's."
    )


class HttpGrader(_Grader):
    """Posts each answer to a URL, which replies with a score or with whether it passed."""

    type: Literal["http"] = Field("http", description="Your own program grades the answer.")
    url: str = Field(min_length=1, max_length=2_000, description="The URL that grades an answer.")


GraderOptions: TypeAlias = Annotated[
    ExactGrader
    | ContainsGrader
    | RegexGrader
    | NumericGrader
    | JsonSchemaGrader
    | SimilarityGrader
    | JudgeGrader
    | PairwiseGrader
    | HttpGrader,
    Field(discriminator="type"),
]

CALLING = (SimilarityGrader, JudgeGrader, PairwiseGrader)
"""The graders whose calls are jobs."""

NEEDS_EXPECTED = (ExactGrader, ContainsGrader, NumericGrader, SimilarityGrader)
"""The graders that leave a prompt without an expected answer ungraded."""


def refuse_fields(body: dict[str, Any], fields: set[str]) -> dict[str, Any]:
    """Return the body. Raises ValueError if it has one of the fields."""
    if found := sorted(body.keys() & fields):
        raise ValueError(f"cannot have `{found[0]}` here")
    return body
