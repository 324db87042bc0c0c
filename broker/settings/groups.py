"""Declare every setting with its default, in groups; the text below a setting documents it.

`waybill settings --markdown` writes `docs/reference/configuration.md` from them.
"""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from broker.settings.rows import FLOWER_LOGIN, Dollars, WebUrl

SCHEMES = {
    "database_url": ("postgresql", "postgres", "postgresql+psycopg", "sqlite", "sqlite+pysqlite"),
    "redis_url": ("redis", "rediss", "unix"),
    "broker_url": ("amqp", "amqps", "pyamqp", "redis", "rediss", "redis+socket"),
}
SHORTEST_KEY = 16
"""The fewest characters of a bootstrap key; generated keys have more than forty."""


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True)


def _is_origin(text: str) -> bool:
    """Return whether the text is a web origin as browsers send it (RFC 6454, section 6.2)."""
    parts = urlsplit(text)
    return text == f"{parts.scheme}://{parts.netloc}" and bool(parts.netloc)


def _networks(value: Any) -> Any:
    """Read networks from a comma-separated string (environment) or a list (waybill.toml)."""
    items = value.split(",") if isinstance(value, str) else value
    return tuple(ip_network(str(item).strip(), strict=False) for item in items if str(item))


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]


class Storage(_Group):
    """Storage of data, and the transport of messages."""

    data_dir: Path = Path(".waybill")
    """The directory of the SQLite file, Valkey's append-only file, stored files, logs and keys."""
    database_url: str = ""
    """`postgresql://…`; empty = SQLite in `data_dir`."""
    redis_url: str = ""
    """Redis or Valkey, for events, limits and endpoint stats; empty = the embedded Valkey."""
    valkey_memory_mb: int = Field(1_024, ge=64)
    """The memory limit of the embedded Valkey, in MB. When it is full, it drops stream events and
    counts of limits, never queues."""
    broker_url: str = ""
    """Celery's transport, `redis://…` or `amqp://…`; empty = `redis_url`."""
    secret_key: str = ""
    """The key that signs links and encrypts stored secrets; empty = generated in `data_dir`."""
    old_secret_keys: Annotated[tuple[str, ...], NoDecode] = ()
    """Earlier secret keys, comma-separated; needed until `waybill credentials rotate` has run."""
    bootstrap_key: str = ""
    """An API key that exists from the first start, with unlimited credit; 16 characters or more."""
    sqlite_synchronous: Literal["full", "normal"] = "full"
    """`full` survives a power cut; `normal` survives only a crash of the program."""

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("database_url", "redis_url", "broker_url")
    @classmethod
    def _known_scheme(cls, value: str, info: ValidationInfo) -> str:
        known = SCHEMES[info.field_name or ""]
        scheme, separator, rest = value.partition("://")
        if value and not (separator and scheme in known):
            raise ValueError(
                f"must begin with {known[0]}:// ({', '.join(known[1:])} are known, too)"
            )
        if scheme.startswith("postgres"):
            # raises ValueError; a password may hold what would end the host elsewhere
            _ = urlsplit(f"//{rest.rpartition('@')[2]}").port
        return value

    @field_validator("bootstrap_key")
    @classmethod
    def _not_guessed(cls, value: str) -> str:
        if 0 < len(value) < SHORTEST_KEY:
            raise ValueError(
                f"must have {SHORTEST_KEY} characters or more, as it opens everything: "
                "`openssl rand -hex 32` prints a good one"
            )
        return value

    @field_validator("old_secret_keys", mode="before")
    @classmethod
    def _keys(cls, value: Any) -> Any:
        items = value.split(",") if isinstance(value, str) else value
        return tuple(str(item).strip() for item in items if str(item).strip())

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the database."""
        url = self.database_url or f"sqlite:///{self.data_dir / 'waybill.db'}"
        scheme, _, rest = url.partition("://")
        return f"postgresql+psycopg://{rest}" if scheme in {"postgresql", "postgres"} else url

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


class Files(_Group):
    """Uploaded files, and the media of answers."""

    files_url: str = ""
    """The location of files, e.g. `s3://bucket/path`; empty = `data_dir/files`."""
    files_options: dict[str, Any] = {}
    """Options of fsspec for `files_url`, e.g. `{"endpoint_url": …, "key": …, "secret": …}`."""
    max_file_bytes: int = Field(512_000_000, ge=1_000)
    """The largest file that may be uploaded."""
    workspace_files: int = Field(10_000, ge=0)
    """The most uploaded files of a workspace; one more gets a 413; 0 = no limit."""
    workspace_file_bytes: int = Field(100_000_000_000, ge=0)
    """The most bytes of all uploaded files of a workspace; more gets a 413; 0 = no limit."""
    uploads_per_minute: int = Field(600, ge=0)
    """Uploads of a workspace in a minute, for each API process; more gets a 429; 0 = no limit."""
    upload_days: int = Field(0, ge=0)
    """Days until an upload without `expires_after` is deleted; inputs of batches after 30 days at
    most; 0 = never."""


class Serving(_Group):
    """The API, and limits on its callers."""

    public_url: WebUrl = "http://127.0.0.1:8080"
    """The API's address for callers, used in links; the default is the address where it listens."""
    host: str = "127.0.0.1"
    """The address on which the API and Flower listen."""
    port: int = Field(8080, ge=0, le=65535)
    """The API's port."""
    flower_port: int = Field(5555, ge=0, le=65535)
    """Flower's port."""
    flower_url: str = ""
    """Address of Flower for a link on the dashboard, for operators. `up` sets it on loopback."""
    flower_basic_auth: str = Field("", pattern=FLOWER_LOGIN)
    """`user:password` for Flower, or `off`; empty = no login when `host` is loopback, else one that
    is generated in `data_dir`."""
    metrics_token: str = ""
    """When set, `GET /metrics` requires it as a bearer token."""
    max_body_bytes: int = Field(10_000_000, ge=1_000)
    """The largest request body, in bytes; a larger one gets a 413."""
    sync_timeout_seconds: float = Field(600, gt=0)
    """Seconds until a waiting call gets a 504 with `Retry-After` and the job's id; the job goes on.
    A stream waits this long for its job to start."""
    keep_alive_seconds: float = Field(10, gt=0)
    """Seconds between comment lines on an idle stream."""
    trusted_proxies: Networks = ()
    """Networks of your reverse proxies, e.g. `10.0.0.5,172.18.0.0/16`. Only their headers
    `X-Forwarded-For`, `-Proto` and `-Host` are used."""
    streams_per_key: int = Field(2_000, ge=0)
    """The most open streams of a key, for each API process; more gets a 429; 0 = no limit."""
    refusals_per_minute: int = Field(3_000, ge=0)
    """The most refused requests (400, 401, 403, 404, …) of a key, or of an address without a valid
    key, in a minute for each API process; more gets a 429; 0 = no limit."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins of web pages that may call the API from a browser, e.g. `https://app.example.com`,
    comma-separated, or `*` for all; empty = none."""

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: Any) -> Any:
        items = value.split(",") if isinstance(value, str) else value
        origins = tuple(str(item).strip().rstrip("/") for item in items if str(item).strip())
        for origin in origins:
            if origin != "*" and not _is_origin(origin):
                raise ValueError(
                    f"{origin!r} is not an origin: write scheme, host and port alone, as in "
                    "https://app.example.com, or * for any page"
                )
        return origins


class Jobs(_Group):
    """Defaults for jobs."""

    default_max_attempts: int = Field(5, ge=1)
    """The most attempts of a job without `max_attempts`."""
    default_deadline_seconds: float = Field(24 * 3600, gt=0)
    """Seconds until a job without a deadline expires."""
    likely_completion_tokens: int = Field(1_000, ge=1)
    """Estimated output tokens of a job without `max_tokens`."""
    most_held_completion_tokens: int = Field(16_384, ge=1)
    """Output tokens held for a job without `max_tokens` when the model has no known maximum."""


class Privacy(_Group):
    """Retention of prompts and answers after the end of a job."""

    store: Literal["full", "result_only", "none"] = "full"
    """`result_only` deletes prompts; `none` also fetched answers. Workspaces can override it."""
    fetched_answer_seconds: float = Field(60.0, ge=0)
    """With `none`: seconds for which an answer can be fetched again, in case the connection
    broke."""
    retention_days: int = Field(0, ge=0)
    """Days until prompts, answers and files are deleted; 0 = never. Workspaces can override it."""


class Payments(_Group):
    """Prepaid credit."""

    topup_fee_percent: Dollars = "0"
    """The fee on every payment, in percent (OpenRouter: 5.5)."""
    topup_fee_minimum_usd: Dollars = "0"
    """The smallest fee on a payment, in USD, when there is a fee."""
    byok_fee_percent: Dollars = "0"
    """The fee on calls with a workspace's credential, in percent of the price."""
    stripe_api_key: str = ""
    """Stripe's secret key (`sk_…`), for Stripe Checkout; needs the extra `waybill-
    broker[stripe]`."""
    stripe_webhook_secret: str = ""
    """The signing secret (`whsec_…`) of Stripe's endpoint for `POST /api/v1/credits/stripe`."""
    stripe_api_base: str = ""
    """The address of Stripe's API, for tests."""


class Limits(_Group):
    """Limits of free models."""

    free_requests_per_minute: int = Field(20, ge=0)
    """Requests to `:free` models in a minute for each workspace; 0 = no limit."""
    free_requests_per_day: int = Field(1_000, ge=0)
    """Requests to `:free` models in a UTC day for a workspace without a limit of its own."""


class SignIn(_Group):
    """Signing in through an OpenID Connect provider."""

    oidc_issuer: str = ""
    """The OpenID provider for sign-in, e.g. `https://accounts.example.com`."""
    oidc_client_id: str = ""
    """OIDC client ID."""
    oidc_client_secret: str = ""
    """OIDC client secret."""
    oidc_label: str = "your organisation"
    """The label of the sign-in button."""
    oidc_workspace: str = ""
    """The slug of the workspace that new users join; empty = new users cannot sign in."""
    oidc_role: Literal["admin", "member", "viewer"] = "member"
    """The role of new users in that workspace."""


class Workers(_Group):
    """Worker processes."""

    worker_id: str = ""
    """The name under which this worker process holds leases; empty = generated at its start."""
    dispatch: bool = True
    """Let this worker run the dispatcher."""
    worker_lane: Literal["", "interactive", "batch"] = ""
    """The only lane of this worker; empty = all. `waybill up` runs workers for each lane."""
    worker_concurrency: int = Field(1_000, ge=1)
    """The most calls in flight in one worker process."""
    worker_media_bytes: int = Field(500_000_000, ge=1_000_000)
    """The most bytes of attachments and large bodies in flight in one worker process; more wait.
    They use up to three times this in memory. A workspace gets half of it at most."""
    lease_seconds: float = Field(60, gt=0)
    """Seconds for which a worker keeps its jobs without a heartbeat."""
    heartbeat_seconds: float = Field(15, gt=0)
    """Seconds between heartbeats; half of `lease_seconds` at most."""
    soft_shutdown_seconds: float = Field(20, ge=0)
    """Seconds for which running calls may continue after a worker received the signal to stop."""
    stream_drain_seconds: float = Field(120, ge=0)
    """The same for streams that have started; the API waits this long for open answers."""
    cancel_drain_seconds: float = Field(10, ge=0)
    """Seconds for which Waybill reads on after a call was cancelled, to get its usage; 0 = none.
    Without the usage, a call that may have hidden reasoning costs its hold."""
    event_ttl_seconds: int = Field(24 * 3600, ge=60)
    """Seconds for which Redis keeps the events of a running stream; 60 after the stream's end."""

    @model_validator(mode="after")
    def _signs_in_time(self) -> Self:
        """Require two heartbeats in each lease, so that one may be late."""
        if self.heartbeat_seconds > self.lease_seconds / 2:
            raise ValueError(
                f"heartbeat_seconds ({self.heartbeat_seconds:g}) must be half of "
                f"lease_seconds ({self.lease_seconds:g}) at most"
            )
        return self


class Calls(_Group):
    """Calls to providers and to callers' URLs."""

    connect_timeout_seconds: float = Field(10, gt=0)
    """Seconds to connect to a provider."""
    first_byte_timeout_seconds: float = Field(300, gt=0)
    """Seconds from sending a request to the first byte of its answer."""
    idle_timeout_seconds: float = Field(120, gt=0)
    """The longest gap inside an answer, in seconds."""
    total_timeout_seconds: float = Field(1800, gt=0)
    """Seconds for one attempt, from sending to the last byte."""
    max_answer_bytes: int = Field(50_000_000, ge=1_000)
    """The largest answer of a provider, in bytes."""
    max_media_bytes: int = Field(20_000_000, ge=1_000)
    """The largest image or file that is fetched by URL, in bytes."""
    max_scanned_pages: int = Field(100, ge=1)
    """The most pages of one request that are drawn or read by OCR."""
    ocr_model: str = "mistralai/mistral-ocr-latest"
    """The model of the PDF engine `mistral-ocr`, at a provider with the wire `mistral`."""
    allowed_networks: Networks = ()
    """Private networks to which callers' URLs may point, e.g. `10.1.0.0/16,fd00::/8`."""


class NativeBatches(_Group):
    """Native batches: half-price batches at providers."""

    native_batch_wait_seconds: float = Field(30, ge=0)
    """Seconds for which jobs are collected for one native batch."""
    native_batch_max_lines: int = Field(1_000, ge=1)
    """The most jobs in one native batch."""
    native_batch_max_bytes: int = Field(50_000_000, ge=1_000)
    """The most bytes in one native batch."""
    native_batch_poll_seconds: float = Field(10, gt=0)
    """Seconds until a native batch is polled first; later polls are rarer."""
    native_batch_doubt_seconds: float = Field(300, ge=0)
    """Seconds to search for a batch whose creation timed out, before `on_unknown` applies."""
    native_batch_reserve_seconds: float = Field(3600, ge=0)
    """Seconds reserved before the deadline for jobs that a batch did not answer; half the time at
    most."""
    native_batch_min_deadline_seconds: float = Field(4 * 3600, ge=0)
    """The fewest seconds until a deadline for `prefer: "cheapest"`."""
