"""Every setting with its default, in groups; the text below a setting is its documentation.

`docs/reference/configuration.md` is made of them (`waybill settings --markdown`).
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
"""Characters of a key that nobody guesses; ours have more than forty."""


class _Group(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, frozen=True)


def _is_origin(text: str) -> bool:
    """Tell whether the text is a web origin as browsers send it (RFC 6454, section 6.2)."""
    parts = urlsplit(text)
    return text == f"{parts.scheme}://{parts.netloc}" and bool(parts.netloc)


def _networks(value: Any) -> Any:
    """Read a comma-separated list, as the environment has it; waybill.toml may have a list."""
    items = value.split(",") if isinstance(value, str) else value
    return tuple(ip_network(str(item).strip(), strict=False) for item in items if str(item))


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]


class Storage(_Group):
    """Storage of data, and the transport of messages."""

    data_dir: Path = Path(".waybill")
    """Holds the SQLite file, Valkey's append-only file, stored files, logs and keys."""
    database_url: str = ""
    """`postgresql://…`; empty = SQLite in `data_dir`."""
    redis_url: str = ""
    """Events, limits, live statistics; empty = the embedded Valkey."""
    valkey_memory_mb: int = Field(1_024, ge=64)
    """The most memory that the embedded Valkey takes. When it is full, it drops what expires first:
    events of streams and counts of limits, never queues."""
    broker_url: str = ""
    """Celery's transport, `redis://…` or `amqp://…`; empty = `redis_url`."""
    secret_key: str = ""
    """Signs links and encrypts stored secrets; empty = one is made in `data_dir`."""
    old_secret_keys: Annotated[tuple[str, ...], NoDecode] = ()
    """Earlier secret keys, comma-separated, until `waybill credentials rotate` has run."""
    bootstrap_key: str = ""
    """An API key that exists from the first start, with unlimited credit; 16 characters or more."""
    sqlite_synchronous: Literal["full", "normal"] = "full"
    """`full` survives a power cut, `normal` a crash of the program."""

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
    """Uploaded files and what answers refer to."""

    files_url: str = ""
    """Where files are kept, e.g. `s3://bucket/path`; empty = `data_dir/files`."""
    files_options: dict[str, Any] = {}
    """Options of fsspec for `files_url`, e.g. `{"endpoint_url": …, "key": …, "secret": …}`."""
    max_file_bytes: int = Field(512_000_000, ge=1_000)
    """The largest file that may be uploaded."""
    workspace_files: int = Field(10_000, ge=0)
    """Uploaded files that a workspace may keep; more is a 413; 0 = no limit."""
    workspace_file_bytes: int = Field(100_000_000_000, ge=0)
    """The bytes of all of them; more is a 413; 0 = no limit."""
    uploads_per_minute: int = Field(600, ge=0)
    """Uploads that a workspace may begin in a minute at an API process; more is a 429; 0 = any."""
    upload_days: int = Field(0, ge=0)
    """Uploads without `expires_after` are kept so long, inputs of batches 30 days at most; 0 = they
    are kept until they are deleted."""


class Serving(_Group):
    """The API, and what it lets callers do."""

    public_url: WebUrl = "http://127.0.0.1:8080"
    """How callers reach the API, for links that are given out; default: where it listens."""
    host: str = "127.0.0.1"
    """Where the API and Flower listen."""
    port: int = Field(8080, ge=0, le=65535)
    """The API's port."""
    flower_port: int = Field(5555, ge=0, le=65535)
    """Flower's port."""
    flower_basic_auth: str = Field("", pattern=FLOWER_LOGIN)
    """`user:password` that Flower asks for, or `off`; empty = none where `host` is loopback, else
    one is made in `data_dir`."""
    metrics_token: str = ""
    """When set, `GET /metrics` wants it as a bearer token."""
    max_body_bytes: int = Field(10_000_000, ge=1_000)
    """The largest request body; more is a 413."""
    sync_timeout_seconds: float = Field(600, gt=0)
    """Seconds until a waiting call is answered 504, with `Retry-After` and the job's id,
    and its job goes on. A stream waits as long for its job to be sent."""
    keep_alive_seconds: float = Field(10, gt=0)
    """Between comment lines on an idle stream."""
    trusted_proxies: Networks = ()
    """Networks of the proxies in front, e.g. `10.0.0.5,172.18.0.0/16`: callers' addresses, scheme
    and host are read from their `X-Forwarded-For`, `-Proto` and `-Host`, and from nobody else's."""
    streams_per_key: int = Field(2_000, ge=0)
    """Streams that a key may have open at an API process; more is a 429; 0 = no limit."""
    refusals_per_minute: int = Field(3_000, ge=0)
    """Requests of a key, or of an address without a valid one, that may be refused (400, 401, 403,
    404 and the like) in a minute at an API process; more is a 429; 0 = no limit."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Web pages that may call the API from a browser: `https://app.example.com`, comma-separated,
    or `*` for any; empty = none."""

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
    """Attempts of a job that names no `max_attempts`."""
    default_deadline_seconds: float = Field(24 * 3600, gt=0)
    """Until a job that names no deadline expires."""
    likely_completion_tokens: int = Field(1_000, ge=1)
    """Output tokens that a job without `max_tokens` probably has."""
    most_held_completion_tokens: int = Field(16_384, ge=1)
    """Output tokens that it has at most, where the model's own maximum is not known."""


class Privacy(_Group):
    """Retention of prompts and answers after the end of a job."""

    store: Literal["full", "result_only", "none"] = "full"
    """`result_only` drops prompts, `none` answers too once fetched; workspaces have their own."""
    fetched_answer_seconds: float = Field(60.0, ge=0)
    """With `none`: how long an answer can be fetched again, as its connection may have broken."""
    retention_days: int = Field(0, ge=0)
    """Prompts, answers and files are kept so long; 0 = for ever; workspaces have their own."""


class Payments(_Group):
    """Prepaid credit."""

    topup_fee_percent: Dollars = "0"
    """Taken of every payment; OpenRouter takes 5.5."""
    topup_fee_minimum_usd: Dollars = "0"
    """The least that is taken of a payment, where a fee is."""
    byok_fee_percent: Dollars = "0"
    """Charged of what a provider bills to a workspace's own key."""
    stripe_api_key: str = ""
    """`sk_…`: payments by Stripe Checkout; needs the extra `waybill-broker[stripe]`."""
    stripe_webhook_secret: str = ""
    """`whsec_…` of Stripe's endpoint for `POST /api/v1/credits/stripe`."""
    stripe_api_base: str = ""
    """Where Stripe's API is, for tests."""


class Limits(_Group):
    """Limits of models that cost nothing."""

    free_requests_per_minute: int = Field(20, ge=0)
    """Of `:free` models, for a workspace; 0 = no limit."""
    free_requests_per_day: int = Field(1_000, ge=0)
    """Of `:free` models, for a workspace and a UTC day; a workspace may have its own."""


class SignIn(_Group):
    """Signing in through an OpenID Connect provider."""

    oidc_issuer: str = ""
    """OpenID provider for sign-in, such as `https://accounts.example.com`."""
    oidc_client_id: str = ""
    """OIDC client ID."""
    oidc_client_secret: str = ""
    """OIDC client secret."""
    oidc_label: str = "your organisation"
    """The label of the sign-in button."""
    oidc_workspace: str = ""
    """Slug of the workspace that strangers join; empty = nobody is let in."""
    oidc_role: Literal["admin", "member", "viewer"] = "member"
    """The role that strangers get there."""


class Workers(_Group):
    """Worker processes."""

    worker_id: str = ""
    """Who holds the leases of this worker process; empty = made at its start."""
    dispatch: bool = True
    """Return whether this worker may lead the dispatching."""
    worker_lane: Literal["", "interactive", "batch"] = ""
    """The only lane whose jobs this worker takes; empty = all. `waybill up` has workers of each."""
    worker_concurrency: int = Field(1_000, ge=1)
    """Calls in flight in one worker process."""
    worker_media_bytes: int = Field(500_000_000, ge=1_000_000)
    """Attachments and large bodies of the calls in flight in one worker process; further ones wait.
    They take up to three times this in memory. A workspace has half of it at most."""
    lease_seconds: float = Field(60, gt=0)
    """How long a worker that falls silent keeps its jobs."""
    heartbeat_seconds: float = Field(15, gt=0)
    """Between a worker's signs of life; half of `lease_seconds` at most."""
    soft_shutdown_seconds: float = Field(20, ge=0)
    """How long running calls may go on once a worker is asked to stop."""
    stream_drain_seconds: float = Field(120, ge=0)
    """The same for streams that have begun to answer; the API waits as long for open answers."""
    cancel_drain_seconds: float = Field(10, ge=0)
    """Seconds for which a cancelled call is read on for the usage of its provider; 0 = none.
    Without that usage a call that may have reasoned unseen costs what was held."""
    event_ttl_seconds: int = Field(24 * 3600, ge=60)
    """Seconds for which Redis keeps the events of a running stream; 60 after its end."""

    @model_validator(mode="after")
    def _signs_in_time(self) -> Self:
        """Two signs of life in each lease: one may be late, and nobody takes the job."""
        if self.heartbeat_seconds > self.lease_seconds / 2:
            raise ValueError(
                f"heartbeat_seconds ({self.heartbeat_seconds:g}) must be half of "
                f"lease_seconds ({self.lease_seconds:g}) at most"
            )
        return self


class Calls(_Group):
    """Calls to providers, and to the URLs that callers name."""

    connect_timeout_seconds: float = Field(10, gt=0)
    """To reach a provider."""
    first_byte_timeout_seconds: float = Field(300, gt=0)
    """From sending a request to the first byte of its answer."""
    idle_timeout_seconds: float = Field(120, gt=0)
    """The longest gap inside an answer."""
    total_timeout_seconds: float = Field(1800, gt=0)
    """One attempt, from sending to the last byte."""
    max_answer_bytes: int = Field(50_000_000, ge=1_000)
    """The largest answer of a provider."""
    max_media_bytes: int = Field(20_000_000, ge=1_000)
    """The largest image or file that is fetched by URL."""
    allowed_networks: Networks = ()
    """Private networks that callers' URLs may point into, e.g. `10.1.0.0/16,fd00::/8`."""


class NativeBatches(_Group):
    """Half-price batches at the providers that have them."""

    native_batch_wait_seconds: float = Field(30, ge=0)
    """How long jobs gather for one batch at a provider."""
    native_batch_max_lines: int = Field(1_000, ge=1)
    """Jobs in one batch at a provider."""
    native_batch_max_bytes: int = Field(50_000_000, ge=1_000)
    """Bytes in one batch at a provider."""
    native_batch_poll_seconds: float = Field(10, gt=0)
    """Until the first look at a batch; later looks are rarer."""
    native_batch_doubt_seconds: float = Field(300, ge=0)
    """How long to look for a batch whose creation timed out, before `on_unknown`
    applies."""
    native_batch_reserve_seconds: float = Field(3600, ge=0)
    """Left before the deadline for jobs that a batch did not answer; half the
    time at most."""
    native_batch_min_deadline_seconds: float = Field(4 * 3600, ge=0)
    """How far off a deadline must be for `prefer: "cheapest"`."""
