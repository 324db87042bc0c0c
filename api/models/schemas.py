"""Query parameters of GET /models (OpenRouter's), and the body of a provider's pause."""

from typing import Annotated, TypeAlias

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.core.bodies import JsonBody
from broker.catalog.selection import USUAL_OUTPUTS, ListingFilter

MAX_PAGE = 1_000
ALL = "all"


class ModelQuery(BaseModel):
    """Filters, order and page of a list of models. Commas separate the entries of a filter."""

    model_config = ConfigDict(extra="ignore")

    q: str | None = Field(None, description="A part of the name or the slug.")
    category: str | None = Field(None, description="A use case, e.g. `programming`.")
    input_modalities: str | None = Field(None, description="The model takes all of these.")
    output_modalities: str = Field(
        ",".join(USUAL_OUTPUTS), description="The model returns one of these; `all` for any."
    )
    supported_parameters: str | None = Field(None, description="The model takes all of these.")
    context: int | None = Field(None, ge=0, description="The least context length in tokens.")
    min_price: float | None = Field(
        None, ge=0, description="The least price of the prompt, in US dollars per million tokens."
    )
    max_price: float | None = Field(
        None, ge=0, description="The highest price of the prompt, in US dollars per million tokens."
    )
    min_output_price: float | None = Field(
        None, ge=0, description="The least price of the answer, in US dollars per million tokens."
    )
    max_output_price: float | None = Field(
        None, ge=0, description="The highest price of the answer, in US dollars per million tokens."
    )
    model_authors: str | None = Field(None, description="Authors: the beginnings of slugs.")
    providers: str | None = Field(None, description="Slugs or names of providers.")
    arch: str | None = Field(None, description="The tokenizer: `GPT`, `Claude`, `Gemini`, …")
    zdr: bool = Field(
        default=False, description="Only models with an endpoint that promises to store nothing."
    )
    min_age_days: int | None = Field(None, ge=0, description="The least days since publication.")
    max_age_days: int | None = Field(None, ge=0, description="The most days since publication.")
    sort: str | None = Field(
        None, description="The order: `newest`, `pricing-low-to-high`, …; by slug without it."
    )
    offset: int = Field(0, ge=0, description="The number of models to skip.")
    limit: int | None = Field(
        None, ge=1, le=MAX_PAGE, description="The most models of a page; all without it."
    )
    all: bool = Field(
        default=False, description="Whether to list models that no configured provider serves, too."
    )

    def listing_filter(self) -> ListingFilter:
        """Return the filters."""
        outputs = _words(self.output_modalities)
        return ListingFilter(
            q=self.q,
            category=self.category,
            input_modalities=_words(self.input_modalities),
            output_modalities=frozenset() if ALL in outputs else outputs,
            supported_parameters=_words(self.supported_parameters),
            context=self.context,
            min_price=self.min_price,
            max_price=self.max_price,
            min_output_price=self.min_output_price,
            max_output_price=self.max_output_price,
            model_authors=_words(self.model_authors),
            providers=_words(self.providers),
            arch=self.arch,
            zdr=self.zdr,
            min_age_days=self.min_age_days,
            max_age_days=self.max_age_days,
        )


def _words(listed: str | None) -> frozenset[str]:
    return frozenset(word.strip() for word in (listed or "").split(",") if word.strip())


class PauseRequest(BaseModel):
    """The reason for a pause of a provider."""

    model_config = ConfigDict(extra="forbid")

    reason: (
        Annotated[
            str,
            StringConstraints(max_length=500, strip_whitespace=True, pattern=r"^[^\x00]*$"),
        ]
        | None
    ) = Field(None, description="The reason, which is shown to operators.")


PauseBody: TypeAlias = Annotated[
    PauseRequest,
    Depends(JsonBody(PauseRequest, {"reason": "an outage there"}, required=False)),
]
