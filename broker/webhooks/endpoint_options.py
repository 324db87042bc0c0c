"""Check the options of webhook endpoints and job webhooks, and convert them to columns."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

from broker.enums import PayloadKind, Scheme, SignatureKind
from broker.errors import InvalidRequestError
from broker.ids import new_id
from broker.security.encryption import Encryption
from broker.webhooks import signing
from broker.webhooks.events import EVENT_TYPES, matches_filter

MAX_URL = 2_048
MAX_HEADERS = 20
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110, "token"
_VALUE = re.compile(r"[\x20-\x7e\t]{0,2000}")
_RESERVED = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "user-agent",
     "te", "trailer", "upgrade", "expect", "accept-encoding"}
)  # fmt: skip
_RESERVED_PREFIXES = ("webhook-", "x-openrouter-", "proxy-")


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """The options of a new endpoint."""

    url: str
    description: str = ""
    events: Sequence[str] = ()  # empty = all
    payload: PayloadKind = PayloadKind.THIN
    scheme: Scheme = Scheme.STANDARD
    signature: SignatureKind = SignatureKind.V1
    headers: Mapping[str, str] = field(default_factory=dict)
    rate_limit: int | None = None  # deliveries a minute; None = no limit


def build_endpoint(
    options: EndpointOptions, workspace_id: str, encryption: Encryption, now: int
) -> tuple[dict[str, Any], str]:
    """Return the row of an endpoint and its secret. Raises InvalidRequestError.

    For a `v1a` secret its owner receives the public key (a column) instead.
    """
    if options.scheme is Scheme.OPENROUTER and options.signature is SignatureKind.V1A:
        raise InvalidRequestError("The openrouter scheme signs with v1 only.", param="signature")
    requested = {
        name: getattr(options, name)
        for name in ("url", "description", "events", "payload", "scheme", "headers", "rate_limit")
    }
    columns, secret = build_secret_columns(options.signature, encryption)
    row = build_endpoint_columns(requested, encryption) | columns
    fixed = {"id": new_id("whep_"), "workspace_id": workspace_id, "created_at": now}
    return row | fixed | {"paced_until": 0, "disabled": False}, secret


def build_endpoint_columns(requested: Mapping[str, Any], encryption: Encryption) -> dict[str, Any]:
    """Return the columns for these options of an endpoint. Raises InvalidRequestError.

    `requested` may have url, description, events, payload, scheme, headers, rate_limit, disabled.
    """
    columns = dict(requested)
    if "url" in requested:
        check_url(requested["url"])
    if "events" in requested:
        columns["events"] = orjson.dumps(check_events(requested["events"])).decode()
    if "headers" in requested:
        headers = _check_headers(requested["headers"])
        columns["headers"] = encryption.encrypt(orjson.dumps(headers).decode()) if headers else ""
    for name, kind in (("payload", PayloadKind), ("scheme", Scheme)):
        if name in requested:
            columns[name] = kind(requested[name]).value
    return columns


def build_secret_columns(kind: SignatureKind, encryption: Encryption) -> tuple[dict[str, Any], str]:
    """Return the columns of a new secret (for `create_endpoint` and `Rotation`), and the secret."""
    secret = signing.generate_secret(kind)
    columns = {
        "secret": encryption.encrypt(secret),
        "public_key": signing.derive_public_key(secret),
        "signature": kind.value,
    }
    return columns, secret


def build_job_webhook(url: str, events: Sequence[str] = ()) -> str:
    """Return `submission.JobOptions.webhook` for a job's own URL. Raises InvalidRequestError."""
    check_url(url, param="webhook")
    event = check_events(events, param="webhook")
    return orjson.dumps({"url": url, "events": event}).decode()


def check_url(url: str, *, param: str = "url") -> None:
    """Raise InvalidRequestError for a URL that cannot be a receiver.

    Each attempt checks whether the address is allowed.
    """
    try:
        split = urlsplit(url)
        host = split.hostname
    except ValueError:
        split, host = urlsplit(""), None
    if split.scheme not in ("https", "http") or not host or len(url) > MAX_URL:
        raise InvalidRequestError(
            "A webhook's URL begins with https:// and names a host.", param=param
        )
    if "@" in split.netloc or split.fragment or not url.isprintable() or " " in url:
        raise InvalidRequestError(
            "A webhook's URL has no user name, fragment, space or control character.", param=param
        )


def check_events(events: Sequence[str], *, param: str = "events") -> list[str]:
    """Return an event filter without repetitions; `job.*` stands for all of a kind."""
    for event in events:
        if not any(matches_filter(known, [event]) for known in EVENT_TYPES):
            raise InvalidRequestError(
                f"There is no event type {event!r}: choose from {', '.join(EVENT_TYPES)}.",
                param=param,
            )
    return list(dict.fromkeys(events))


def _check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    if len(headers) > MAX_HEADERS:
        raise InvalidRequestError(f"At most {MAX_HEADERS} headers can be added.", param="headers")
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise InvalidRequestError(f"Header {name[:100]!r} cannot be sent.", param="headers")
        if name.lower() in _RESERVED or name.lower().startswith(_RESERVED_PREFIXES):
            raise InvalidRequestError(f"Header {name!r} is set by Waybill.", param="headers")
    return dict(headers)
