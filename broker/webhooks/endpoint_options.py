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
from broker.webhooks.events import EVENT_TYPES, is_wanted

MAX_URL = 2_048
MAX_HEADERS = 20
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110, "token"
_VALUE = re.compile(r"[\x20-\x7e\t]{0,2000}")
_OURS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "user-agent",
     "te", "trailer", "upgrade", "expect", "accept-encoding"}
)  # fmt: skip
_OUR_PREFIXES = ("webhook-", "x-openrouter-", "proxy-")


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """A new endpoint, as its owner asks for it."""

    url: str
    description: str = ""
    events: Sequence[str] = ()  # empty = all
    payload: PayloadKind = PayloadKind.THIN
    scheme: Scheme = Scheme.STANDARD
    signature: SignatureKind = SignatureKind.V1
    headers: Mapping[str, str] = field(default_factory=dict)
    rate_limit: int | None = None  # deliveries a minute; None = as fast as it takes them


def build_endpoint(
    wish: EndpointOptions, workspace_id: str, seal: Encryption, now: int
) -> tuple[dict[str, Any], str]:
    """Return the row of an endpoint and its secret, shown this once. Raises InvalidRequestError.

    Of a `v1a` secret the owner is shown the public key (a column) instead.
    """
    if wish.scheme is Scheme.OPENROUTER and wish.signature is SignatureKind.V1A:
        raise InvalidRequestError("The openrouter scheme signs with v1 only.", param="signature")
    asked = {
        name: getattr(wish, name)
        for name in ("url", "description", "events", "payload", "scheme", "headers", "rate_limit")
    }
    columns, secret = new_secret_columns(wish.signature, seal)
    row = endpoint_columns(asked, seal) | columns
    fixed = {"id": new_id("whep_"), "workspace_id": workspace_id, "created_at": now}
    return row | fixed | {"paced_until": 0, "disabled": False}, secret


def endpoint_columns(asked: Mapping[str, Any], seal: Encryption) -> dict[str, Any]:
    """Return the columns of an endpoint for what is asked of it. Raises InvalidRequestError.

    `asked` may have url, description, events, payload, scheme, headers, rate_limit, disabled.
    """
    columns = dict(asked)
    if "url" in asked:
        check_url(asked["url"])
    if "events" in asked:
        columns["events"] = orjson.dumps(check_events(asked["events"])).decode()
    if "headers" in asked:
        given = _check_headers(asked["headers"])
        columns["headers"] = seal.close(orjson.dumps(given).decode()) if given else ""
    for name, kind in (("payload", PayloadKind), ("scheme", Scheme)):
        if name in asked:
            columns[name] = kind(asked[name]).value
    return columns


def new_secret_columns(kind: SignatureKind, seal: Encryption) -> tuple[dict[str, Any], str]:
    """Return the columns of a new secret (for `new_endpoint` and `Rotation`), and the secret."""
    secret = signing.new_secret(kind)
    columns = {
        "secret": seal.close(secret),
        "public_key": signing.public_key(secret),
        "signature": kind.value,
    }
    return columns, secret


def job_webhook(url: str, events: Sequence[str] = ()) -> str:
    """Return `submission.Wish.webhook` for a job's own URL. Raises InvalidRequestError."""
    check_url(url, param="webhook")
    wanted = check_events(events, param="webhook")
    return orjson.dumps({"url": url, "events": wanted}).decode()


def check_url(url: str, *, param: str = "url") -> None:
    """Refuse what cannot be a receiver. Whether it may be reached is judged at each attempt."""
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
    for wanted in events:
        if not any(is_wanted(known, [wanted]) for known in EVENT_TYPES):
            raise InvalidRequestError(
                f"There is no event type {wanted!r}: choose from {', '.join(EVENT_TYPES)}.",
                param=param,
            )
    return list(dict.fromkeys(events))


def _check_headers(given: Mapping[str, str]) -> dict[str, str]:
    if len(given) > MAX_HEADERS:
        raise InvalidRequestError(f"At most {MAX_HEADERS} headers can be added.", param="headers")
    for name, value in given.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise InvalidRequestError(f"Header {name[:100]!r} cannot be sent.", param="headers")
        if name.lower() in _OURS or name.lower().startswith(_OUR_PREFIXES):
            raise InvalidRequestError(f"Header {name!r} is set by Waybill.", param="headers")
    return dict(given)
