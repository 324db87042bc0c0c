"""Query parameters of GET /models (OpenRouter's)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from broker.catalog.selection import USUAL_OUTPUTS, ListingFilter

MOST = 1_000
ALL = "all"

Page = Annotated[int, Field(ge=1, le=MOST)]


class ModelQuery(BaseModel):
    """Filters, order and page of a listing; lists are separated by commas."""

    model_config = ConfigDict(extra="ignore")

    q: str | None = Field(None, description="Part of a name or a slug.")
    category: str | None = Field(None, description="A use case, e.g. programming.")
    input_modalities: str | None = Field(None, description="All of these.")
    output_modalities: str = Field(",".join(USUAL_OUTPUTS), description="One of these, or `all`.")
    supported_parameters: str | None = Field(None, description="All of these.")
    context: int | None = Field(None, ge=0, description="At least so many tokens.")
    min_price: float | None = Field(None, ge=0, description="Prompt, USD per million tokens.")
    max_price: float | None = Field(None, ge=0, description="Prompt, USD per million tokens.")
    min_output_price: float | None = Field(None, ge=0, description="Completion, likewise.")
    max_output_price: float | None = Field(None, ge=0, description="Completion, likewise.")
    model_authors: str | None = None
    providers: str | None = Field(None, description="Slugs or names of providers.")
    arch: str | None = Field(None, description="GPT, Claude, Gemini, Llama3, …")
    zdr: bool = Field(default=False, description="Only with an endpoint that keeps nothing.")
    min_age_days: int | None = Field(None, ge=0)
    max_age_days: int | None = Field(None, ge=0)
    sort: str | None = Field(None, description="newest, pricing-low-to-high, …")
    offset: int = Field(0, ge=0)
    limit: Page | None = None
    all: bool = Field(default=False, description="Also what no configured provider serves.")

    def wanted(self) -> ListingFilter:
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
