"""The figures of an evaluation, as they are stored and as the API returns them.

Amounts are US dollars, durations milliseconds, shares and scores between 0 and 1.
"""

from pydantic import BaseModel, ConfigDict, Field


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True)


class Estimate(_Figures):
    """A mean with its 95 % interval."""

    value: float = Field(description="The mean.")
    low: float = Field(description="The lower end of the 95 % interval.")
    high: float = Field(description="The upper end of the 95 % interval.")
    method: str = Field(description="How the interval was computed: `wilson` or `bootstrap`.")


class GraderFigures(_Figures):
    """The results of one grader for one column."""

    grader: str = Field(description="The name of the grader.")
    graded: int = Field(description="The number of answers with a grade.")
    ungraded: int = Field(description="The number of answers without a grade.")
    accuracy: Estimate | None = Field(
        description="The share of graded answers that passed; null for a grader that only scores."
    )
    score: Estimate | None = Field(description="The mean score; null without a grade.")
    agreement: float | None = Field(
        description="How often two samples of a prompt have the same verdict; null with one sample."
    )


class Spread(_Figures):
    """Percentiles of a duration."""

    p50: float | None = Field(description="The median; null without an answer.")
    p95: float | None = Field(description="The 95th percentile; null without an answer.")


class ColumnFigures(_Figures):
    """The figures of one model, or of one model at one provider."""

    name: str = Field(description="The name of the column; `recorded` for past answers.")
    model: str = Field(description="The slug of the model; `recorded` for past answers.")
    provider: str | None = Field(description="The provider that was requested.")
    cells: int = Field(description="The number of prompts times samples.")
    answered: int = Field(description="The number of answers, refusals included.")
    refused: int = Field(description="The number of answers in which the model declined.")
    failed: int = Field(description="The number of cells without an answer.")
    cost: float = Field(description="The cost of the answers.")
    prompt_tokens: int = Field(description="Tokens of the prompts, cached ones included.")
    completion_tokens: int = Field(description="Tokens of the answers.")
    latency_ms: Spread = Field(description="The time to a whole answer.")
    first_token_ms: Spread = Field(description="The time to the first token of a stream.")
    agreement: float | None = Field(
        description="How often two samples of a prompt have the same text; null with one sample."
    )
    unchanged: float | None = Field(
        description="The share of prompts with the text of the recorded answer; null without a "
        "replay."
    )
    graders: list[GraderFigures] = Field(description="The results of each grader.")


class Difference(_Figures):
    """A column compared with the baseline over the prompts that both have grades for."""

    grader: str = Field(description="The name of the grader.")
    name: str = Field(description="The name of the column.")
    baseline: str = Field(description="The name of the baseline's column.")
    prompts: int = Field(description="The number of prompts that were compared.")
    difference: Estimate = Field(
        description="The mean difference to the baseline; for a pairwise judge, the share of wins "
        "above one half."
    )
    p_value: float = Field(description="The probability of such a difference by chance.")
    test: str = Field(description="`mcnemar` for one sample of pass or fail, or `bootstrap`.")
    significant: bool = Field(description="Whether `p_value` is less than 0.05.")


class PositionBias(_Figures):
    """The preference of a pairwise judge for the first or the second place."""

    grader: str = Field(description="The name of the grader.")
    pairs: int = Field(description="The number of pairs that were judged in both orders.")
    consistent: int = Field(description="Pairs whose verdict did not change with the order.")
    always_first: int = Field(description="Pairs in which the first answer won in both orders.")
    always_second: int = Field(description="Pairs in which the second answer won in both orders.")
    first_share: Estimate | None = Field(
        description="The share of verdicts for the first answer; 0.5 without a bias."
    )
    p_value: float = Field(description="The probability of such a preference by chance.")
    detected: bool = Field(description="Whether `p_value` is less than 0.05.")


class Summary(_Figures):
    """The figures of all columns."""

    columns: list[ColumnFigures] = Field(description="The columns, in the order of `models`.")
    differences: list[Difference] = Field(description="Each column compared with the baseline.")
    position_bias: list[PositionBias] = Field(description="The bias of each pairwise judge.")
