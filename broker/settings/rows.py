"""The tables of waybill.toml: providers, models, prices."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
)

from broker.security.secret_values import InvalidSecretError, clean_header, clean_secret

SLUG = r"^[a-z0-9][a-z0-9-]*$"
MODEL_SLUG = r"^[^/\s]+/[^\s]+$"
FLOWER_LOGIN = r"^(|off|[^:,\s]+:[^,\s]+)$"
DOLLARS = r"^\d+(\.\d+)?$"
Slug = Annotated[str, StringConstraints(pattern=SLUG)]
Modality = Literal["text", "image", "file", "audio", "video"]
InterfaceName = Literal["paths", "text", "responses", "realtime"]
"""The values of `operations.Interface`, which stands above the settings."""
ModelSlug = Annotated[str, StringConstraints(pattern=MODEL_SLUG)]
Dollars = Annotated[str, StringConstraints(pattern=DOLLARS)]


def _web(value: str) -> str:
    if value and not value.startswith(("http://", "https://")):
        raise ValueError(f"{value!r} does not begin with http:// or https://")
    return value


WebUrl = Annotated[str, AfterValidator(_web)]


def _per_million(value: str) -> str:
    """Refuse a price that can only have been meant per token, or in cents or nano-dollars."""
    if 0 < float(value) < LEAST_PER_MILLION:
        raise ValueError(
            f"prices are US dollars per million tokens; {value} looks like one per token "
            f"(per million it would be {float(value) * 1e6:g})"
        )
    if float(value) > MOST_PER_MILLION:
        raise ValueError(f"prices are US dollars per million tokens; {value} is beyond any")
    return value


LEAST_PER_MILLION = 0.0005
MOST_PER_MILLION = 10_000
MillionTokens = Annotated[Dollars, AfterValidator(_per_million)]


class _Row(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, coerce_numbers_to_str=True, defer_build=True
    )


class DataPolicyRow(_Row):
    """A provider's use of prompts; a field that is left out means unknown."""

    trains: bool | None = None
    retention_days: int | None = Field(None, ge=0)
    zdr: bool = False  # zero data retention


class ProviderRow(_Row):
    """One `[[providers]]` table of waybill.toml."""

    slug: Slug
    wire: str | None = None  # implied for a known slug
    base_url: WebUrl | None = None
    # "env:NAME" reads a variable, "file:PATH" a file; anything else is the key itself
    api_key: str | None = Field(None, repr=False)
    # limits of the whole installation, however many worker processes it has
    max_concurrency: int = Field(200, ge=1)  # calls in flight
    requests_per_minute: int = Field(0, ge=0)  # 0 = unlimited
    tokens_per_minute: int = Field(0, ge=0)  # input and output together
    headers: dict[str, str] = Field({}, repr=False)
    options: dict[str, Any] = {}
    batches: Literal["openai", "groq", "mistral", "anthropic", "gemini"] | None = None  # its batch
    # API; implied for a known slug
    quirks: list[str] = []
    data_policy: DataPolicyRow | None = None

    @field_validator("api_key")
    @classmethod
    def _clean_key(cls, value: str | None) -> str | None:
        if value is None or value.startswith(("env:", "file:")):
            return value
        try:
            return clean_secret(value, "api_key")
        except InvalidSecretError as error:
            raise ValueError(error.problem) from None

    @field_validator("headers")
    @classmethod
    def _clean_headers(cls, values: dict[str, str]) -> dict[str, str]:
        return {name: clean_header(name, value, "headers") for name, value in values.items()}


class PriceRow(_Row):
    """Prices in US dollars: per million tokens, unless a comment says otherwise."""

    prompt: MillionTokens | None = None
    completion: MillionTokens | None = None
    cache_read: MillionTokens | None = None
    cache_write: MillionTokens | None = None
    cache_write_1h: MillionTokens | None = None
    reasoning: MillionTokens | None = None
    audio: MillionTokens | None = None
    audio_output: MillionTokens | None = None
    image_token: MillionTokens | None = None
    image_output_token: MillionTokens | None = None
    characters: Dollars | None = None  # per million characters to speak
    request: Dollars | None = None  # US dollars per call
    image: Dollars | None = None  # per picture sent
    image_output: Dollars | None = None  # per picture made
    audio_hour: Dollars | None = None  # per hour of sound sent
    page: Dollars | None = None  # per page of a document sent
    web_search: Dollars | None = None  # per search by the vendor's tool; absent = its usual fee


class PictureRow(_Row):
    """The price of a picture of one quality, one size, or both."""

    quality: str | None = None
    size: str | None = None
    price: Dollars  # US dollars per picture made


class TierRow(PriceRow):
    """The prices of prompts of at least this many tokens; other prices stay as they are."""

    min_prompt_tokens: int = Field(ge=1)


class EndpointRow(PriceRow):
    """One model at one provider."""

    provider: Slug
    model: str  # the provider's own name for it
    batch_discount: int = Field(0, ge=0, le=100)  # per cent off in the provider's own batch lane
    flex_percent: int | None = Field(None, ge=0, le=1_000)  # of these prices, in the tier `flex`
    priority_percent: int | None = Field(None, ge=0, le=1_000)  # likewise of `priority`
    pictures: list[PictureRow] = []  # prices of pictures made; others cost `image_output`
    tiers: list[TierRow] = []
    context_length: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    quantization: str | None = None
    supported_parameters: list[str] | None = None  # absent = all
    interface: InterfaceName | None = None  # the provider's API that serves it, if not the usual


class ModelRow(_Row):
    """One `[[models]]` table of waybill.toml."""

    slug: ModelSlug
    name: str | None = None
    description: str = ""
    created: date | None = None  # its release
    context_length: int = Field(128_000, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    input_modalities: list[Modality] | None = None  # absent = unknown: nothing is refused
    output_modalities: list[str] = ["text"]
    supported_parameters: list[str] | None = None
    distillable: bool = False  # its license lets other models be trained on its text
    quantization: str | None = None
    endpoints: list[EndpointRow] = Field(min_length=1)
