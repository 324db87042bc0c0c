"""Configuration: the environment (`WAYBILL_*`) over `waybill.toml` over these defaults.

The only module that reads the environment, apart from the API keys of providers.
"""

import os
import tomllib
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Modality = Literal["text", "image", "file", "audio", "video"]
ModelSlug = Annotated[str, StringConstraints(pattern=r"^[^/\s]+/[^\s]+$")]
Dollars = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?$")]


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
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class DataPolicyRow(_Row):
    """What a provider does with what it is sent; left out = not known."""

    trains: bool | None = None
    retention_days: int | None = Field(None, ge=0)
    zdr: bool = False  # zero data retention


class ProviderRow(_Row):
    """One `[[providers]]` table of waybill.toml."""

    slug: Slug
    wire: str | None = None  # implied for a known slug
    base_url: str | None = None
    api_key: str | None = None  # "env:NAME" reads a variable; anything else is taken literally
    # limits of the whole installation, however many worker processes it has
    max_concurrency: int = Field(200, ge=1)  # calls in flight
    requests_per_minute: int = Field(0, ge=0)  # 0 = unlimited
    tokens_per_minute: int = Field(0, ge=0)  # input and output together
    headers: dict[str, str] = {}
    options: dict[str, Any] = {}
    batches: Literal["openai", "groq", "mistral", "anthropic", "gemini"] | None = None  # its batch
    # API; implied for a known slug
    quirks: list[str] = []
    data_policy: DataPolicyRow | None = None


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


class TierRow(PriceRow):
    """What prompts of at least this many tokens cost; what it does not name stays as it is."""

    min_prompt_tokens: int = Field(ge=1)


class EndpointRow(PriceRow):
    """One model at one provider."""

    provider: Slug
    model: str  # the provider's own name for it
    batch_discount: int = Field(0, ge=0, le=100)  # per cent off in the provider's own batch lane
    tiers: list[TierRow] = []
    context_length: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    quantization: str | None = None
    supported_parameters: list[str] | None = None  # absent = all


class ModelRow(_Row):
    """One `[[models]]` table of waybill.toml."""

    slug: ModelSlug
    name: str | None = None
    description: str = ""
    context_length: int = Field(128_000, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    input_modalities: list[Modality] | None = None  # absent = unknown: nothing is refused
    output_modalities: list[str] = ["text"]
    supported_parameters: list[str] | None = None
    quantization: str | None = None
    endpoints: list[EndpointRow] = Field(min_length=1)


class Settings(BaseSettings):
    """Every setting with its default; in the environment in capitals, after WAYBILL_."""

    model_config = SettingsConfigDict(env_prefix="WAYBILL_", extra="ignore", frozen=True)

    data_dir: Path = Path(".waybill")  # SQLite file, Valkey's append-only file, logs
    database_url: str = ""  # default: SQLite in data_dir; or postgresql://…
    redis_url: str = ""  # events, limits, health; default: the embedded Valkey's unix socket
    broker_url: str = ""  # Celery's transport, redis:// or amqp://; default: redis_url
    secret_key: str = ""  # signs and encrypts; needed by features that keep secrets
    bootstrap_key: str = ""  # an API key that exists from the first start, with unlimited credit
    sqlite_synchronous: Literal["full", "normal"] = "full"  # full survives a power cut

    files_url: str = ""  # where files are kept, e.g. s3://bucket/path; default: data_dir/files
    files_options: dict[str, Any] = {}  # for fsspec: {"endpoint_url": …, "key": …, "secret": …}
    max_file_bytes: int = Field(512_000_000, ge=1_000)  # of an uploaded file

    public_url: str = "http://127.0.0.1:8080"  # how callers reach the API, for links we give out;
    # default: where `waybill api` or `waybill up` listens
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    flower_port: int = Field(5555, ge=0, le=65535)
    metrics_token: str = ""  # when set, GET /metrics wants it as a bearer token
    max_body_bytes: int = Field(10_000_000, ge=1_000)  # of a request; larger is a 413
    sync_timeout_seconds: float = Field(600, gt=0)  # how long a plain call waits before a 504
    keep_alive_seconds: float = Field(10, gt=0)  # between comment lines on an idle stream

    default_max_attempts: int = Field(5, ge=1)
    default_deadline_seconds: float = Field(24 * 3600, gt=0)
    likely_completion_tokens: int = Field(1_000, ge=1)  # held when a job names no max_tokens
    most_held_completion_tokens: int = Field(16_384, ge=1)  # held at most, whatever max_tokens says
    topup_fee_percent: Dollars = "0"  # of every payment, taken from it; OpenRouter takes 5.5
    topup_fee_minimum_usd: Dollars = "0"
    stripe_api_key: str = ""  # sk_…: payments by Stripe Checkout; needs `pip install …[stripe]`
    stripe_webhook_secret: str = ""  # whsec_…: of the endpoint POST /api/v1/credits/stripe
    stripe_api_base: str = ""  # where Stripe's API is, for tests

    free_requests_per_minute: int = Field(20, ge=0)  # of `:free` models, a workspace; 0 = no limit
    free_requests_per_day: int = Field(1_000, ge=0)  # UTC days; a workspace may have its own

    oidc_issuer: str = ""  # https://accounts.example.com: people may sign in through it
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    oidc_label: str = "your organisation"  # on the button
    oidc_workspace: str = ""  # slug of the workspace that strangers join; none = nobody is let in
    oidc_role: Literal["admin", "member", "viewer"] = "member"  # and their role in it

    worker_id: str = ""  # who holds the leases of this worker process; default: made at its start
    dispatch: bool = True  # this worker may lead the dispatching
    worker_concurrency: int = Field(1_000, ge=1)  # calls in flight in one worker process
    lease_seconds: float = Field(60, gt=0)
    heartbeat_seconds: float = Field(15, gt=0)
    soft_shutdown_seconds: float = Field(20, ge=0)  # running calls may finish this long
    connect_timeout_seconds: float = Field(10, gt=0)
    first_byte_timeout_seconds: float = Field(300, gt=0)
    idle_timeout_seconds: float = Field(120, gt=0)  # the longest gap inside an answer
    total_timeout_seconds: float = Field(1800, gt=0)  # one attempt, from sending to the last byte
    max_answer_bytes: int = Field(50_000_000, ge=1_000)  # of one provider answer
    max_media_bytes: int = Field(20_000_000, ge=1_000)  # of one image or file fetched by URL
    allowed_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()  # private
    # networks that callers' URLs may point into, e.g. "10.1.0.0/16,fd00::/8"
    event_ttl_seconds: int = Field(24 * 3600, ge=60)  # how long Redis keeps a stream's events

    native_batch_wait_seconds: float = Field(30, ge=0)  # jobs gather this long for one batch
    native_batch_max_lines: int = Field(1_000, ge=1)  # of one batch at a provider
    native_batch_max_bytes: int = Field(50_000_000, ge=1_000)
    native_batch_poll_seconds: float = Field(10, gt=0)  # the first look; later ones are rarer
    native_batch_doubt_seconds: float = Field(300, ge=0)  # how long a creation that went unheard is
    # looked for at the provider before its jobs' on_unknown decides
    native_batch_reserve_seconds: float = Field(3600, ge=0)  # left before the deadline for what a
    # batch did not answer; half the time at most
    native_batch_min_deadline_seconds: float = Field(4 * 3600, ge=0)  # with prefer: "cheapest"

    providers: list[ProviderRow] = []
    models: list[ModelRow] = []

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("allowed_networks", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        """Read a comma-separated list, as the environment has it; waybill.toml may have a list."""
        items = value.split(",") if isinstance(value, str) else value
        return tuple(ip_network(str(item).strip(), strict=False) for item in items if str(item))

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the database."""
        url = self.database_url or f"sqlite:///{self.data_dir / 'waybill.db'}"
        return url.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def valkey_socket(self) -> Path:
        return self.data_dir / "valkey.sock"

    @property
    def redis(self) -> str:
        return self.redis_url or f"unix://{self.valkey_socket}"

    @property
    def transport(self) -> str:
        """Celery's broker URL (Kombu writes a unix socket as redis+socket://)."""
        return self.broker_url or self.redis.replace("unix://", "redis+socket://", 1)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the base class's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls, toml_file=config_path())
        return init_settings, env_settings, toml


def config_path() -> Path:
    """Return the path of waybill.toml: `WAYBILL_CONFIG`, or the one in the working directory."""
    return Path(os.environ.get("WAYBILL_CONFIG", "waybill.toml"))


def load() -> Settings:
    """Read the configuration. Raises SystemExit with the offending field where it is wrong."""
    path = config_path()
    if "WAYBILL_CONFIG" in os.environ and not path.is_file():
        raise SystemExit(f"waybill: WAYBILL_CONFIG names {path}, which is not a file")
    try:
        _refuse_unknown_tables(path)
        return Settings()
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise SystemExit(
            f"waybill: the configuration ({path} and WAYBILL_* variables) is wrong:\n"
            + "\n".join(lines)
        ) from None
    except ValueError as error:  # TOML that does not parse
        raise SystemExit(f"waybill: {path} cannot be read: {error}") from None


def _refuse_unknown_tables(path: Path) -> None:
    """Raise SystemExit for a name in waybill.toml that no setting has: `[[provider]]`, say."""
    if not path.is_file():
        return
    unknown = tomllib.loads(path.read_text()).keys() - Settings.model_fields.keys()
    if unknown:
        names = ", ".join(sorted(unknown))
        raise SystemExit(f"waybill: {path} has names that are no settings: {names}")
