"""The specification of an evaluation: prompts, columns, samples, graders, limits. Pure."""

from functools import cached_property
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from broker.completion import Json
from broker.evaluations.grader_options import (
    CALLING,
    GraderOptions,
    ModelSlug,
    PairwiseGrader,
    refuse_fields,
)

MAX_PROMPTS = 5_000
MAX_COLUMNS = 16
MAX_SAMPLES = 20
MAX_GRADERS = 10
MAX_CELLS = 50_000  # as many as a batch has lines
MAX_EXPECTED = 100  # answers of one prompt that are accepted
OWN_FIELDS = frozenset({"model", "models", "messages", "stream", "stream_options", "n", "preset"})
RECORDED = "recorded"
"""The name of the column with the answers that past jobs got."""

ExpectedText = str | int | float | bool


class Prompt(BaseModel):
    """One prompt, with the answer that is expected of it."""

    model_config = ConfigDict(extra="forbid")

    id: str | None = Field(None, max_length=256, description="Your own id of the prompt.")
    prompt: str | None = Field(None, min_length=1, description="The user message.")
    messages: list[dict[str, Any]] | None = Field(
        None, min_length=1, description="The messages of the chat, in place of `prompt`."
    )
    expected: (
        ExpectedText
        | Annotated[list[ExpectedText], Field(min_length=1, max_length=MAX_EXPECTED)]
        | None
    ) = Field(None, description="The expected answer, or a list of answers that are accepted.")
    body: dict[str, Any] = Field(
        default_factory=dict,
        title="Chat Fields",  # of generated clients, which know another `PromptBody`
        description="Further fields of the chat body of this prompt.",
    )
    metadata: dict[str, Any] | None = Field(
        None, description="Your own values; they are returned with the results."
    )

    @field_validator("body")
    @classmethod
    def _check_body(cls, value: dict[str, Any]) -> dict[str, Any]:
        return refuse_fields(value, set(OWN_FIELDS))

    @model_validator(mode="after")
    def _check_source(self) -> "Prompt":
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either `prompt` or `messages`")
        return self

    def conversation(self, system: str | None = None) -> list[Json]:
        """Return the messages of the chat."""
        begin = [{"role": "system", "content": system}] if system is not None else []
        own = self.messages or [{"role": "user", "content": self.prompt}]
        return [*begin, *own]

    def accepted(self) -> list[str]:
        """Return the accepted answers as texts; none without an expected answer."""
        if self.expected is None:
            return []
        values = self.expected if isinstance(self.expected, list) else [self.expected]
        return [_write(value) for value in values]


class ModelChoice(BaseModel):
    """A model, at certain providers."""

    model_config = ConfigDict(extra="forbid")

    model: ModelSlug = Field(description="The slug of the model.")
    providers: list[ModelSlug] = Field(
        [],
        max_length=MAX_COLUMNS,
        description="The providers to compare, each a column; without them, routing chooses.",
    )
    body: dict[str, Any] = Field(
        default_factory=dict, description="Further fields of the chat body of this model."
    )

    @field_validator("body")
    @classmethod
    def _check_body(cls, value: dict[str, Any]) -> dict[str, Any]:
        return refuse_fields(value, set(OWN_FIELDS))


class ModelColumn(NamedTuple):
    """A model, or a model at one provider, that answers every prompt."""

    model: str
    provider: str | None = None
    body: Json = {}  # noqa: RUF012  # nothing changes it

    @property
    def label(self) -> str:
        """The name of the column in tables."""
        return self.model if self.provider is None else f"{self.model} ({self.provider})"


class Specification(BaseModel):
    """The parts of an evaluation that its cells and grades depend on, besides its prompts."""

    model_config = ConfigDict(extra="forbid")

    models: list[ModelSlug | ModelChoice] = Field(
        min_length=1,
        max_length=MAX_COLUMNS,
        description="The models, as slugs or with the providers at which they are compared.",
    )
    system: str | None = Field(
        None, min_length=1, description="The system prompt before every prompt."
    )
    body: dict[str, Any] = Field(
        default_factory=dict, description="Further fields of the chat body of every call."
    )
    samples: int = Field(
        1, ge=1, le=MAX_SAMPLES, description="The number of answers to each prompt by each model."
    )
    graders: list[GraderOptions] = Field(
        [], max_length=MAX_GRADERS, description="How answers are graded."
    )
    baseline: str | None = Field(
        None,
        description="The model with which the others are compared, as the results name it: the "
        "first one without it.",
    )
    service_tier: str | None = Field(
        None, description="The service tier of every call; `batch` is the price of batches."
    )
    cache: bool = Field(
        default=False, description="Whether an identical earlier call answers a cell at no cost."
    )
    cache_ttl: int = Field(
        86_400, ge=1, le=86_400, description="Seconds for which cached answers are used."
    )

    @field_validator("body")
    @classmethod
    def _check_body(cls, value: dict[str, Any]) -> dict[str, Any]:
        return refuse_fields(value, set(OWN_FIELDS))

    @model_validator(mode="after")
    def _check_consistency(self) -> "Specification":
        labels = [column.label for column in self.asked_columns]
        if len(set(labels)) != len(labels):
            raise ValueError("`models` names a model twice at the same provider")
        if len(labels) > MAX_COLUMNS:
            raise ValueError(f"models times providers is more than {MAX_COLUMNS}")
        if self.baseline is not None and self.baseline not in [RECORDED, *labels]:
            raise ValueError(f"`baseline` is none of {', '.join(labels)}")
        names = [grader.name for grader in self.graders]
        if len(set(names)) != len(names):
            raise ValueError("two graders have the same name: give each its own `name`")
        return self

    @cached_property
    def asked_columns(self) -> list[ModelColumn]:
        """The columns whose cells are jobs of this evaluation, in order."""
        found: list[ModelColumn] = []
        for each in self.models:
            choice = ModelChoice(model=each) if isinstance(each, str) else each
            providers: list[str | None] = [*choice.providers] or [None]
            found += [ModelColumn(choice.model, name, choice.body) for name in providers]
        return found

    @property
    def has_calls(self) -> bool:
        """True if a grader makes calls."""
        return any(isinstance(grader, CALLING) for grader in self.graders)

    def columns(self, *, is_replay: bool) -> list[ModelColumn]:
        """Return all columns; a replay has the recorded answers as its first one."""
        return [*([ModelColumn(RECORDED)] if is_replay else []), *self.asked_columns]

    def baseline_index(self, *, is_replay: bool) -> int:
        """Return the index of the column with which the others are compared."""
        labels = [column.label for column in self.columns(is_replay=is_replay)]
        return labels.index(self.baseline) if self.baseline in labels else 0

    def count_calls(self, prompts: int, *, is_replay: bool) -> tuple[int, int]:
        """Return the numbers of cells and of graders' calls that are jobs."""
        columns = len(self.asked_columns)
        graded = prompts * (columns * self.samples + is_replay)
        compared = prompts * (columns - (not is_replay)) * self.samples
        calls = sum(
            2 * compared if isinstance(grader, PairwiseGrader) else graded
            for grader in self.graders
            if isinstance(grader, CALLING)
        )
        return prompts * columns * self.samples, calls


def _write(value: ExpectedText) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
