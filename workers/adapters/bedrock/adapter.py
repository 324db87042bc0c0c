"""The wire `bedrock`: `POST /model/{id}/converse`, or `converse-stream` for a binary stream.

Requests are signed with Signature Version 4 by botocore's signer.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from broker.completion import Completion, CompletionRequest, Failure, Usage
from workers.adapters.base import Adapter, HttpRequest, StreamReader, Upstream
from workers.adapters.bedrock.request import build_body
from workers.adapters.bedrock.response import read_response, read_usage
from workers.adapters.bedrock.stream import BedrockStreamReader
from workers.adapters.errors import read_error
from workers.adapters.json_shapes import parse

if TYPE_CHECKING:
    from botocore.credentials import Credentials

_SERVICE = "bedrock"
_DEFAULT_REGION = "us-east-1"
_REGION_IN_HOST = re.compile(r"bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")


def with_credentials(request: HttpRequest, upstream: Upstream) -> HttpRequest:
    """Return `request` with a bearer token or a signature, where there are credentials."""
    credentials = _credentials(upstream)
    if credentials is not None:
        return _sign(request, credentials, region_of(upstream))
    if upstream.api_key:
        headers = {**request.headers, "authorization": f"Bearer {upstream.api_key}"}
        return replace(request, headers=headers)
    return request


def region_of(upstream: Upstream) -> str:
    """Return the region to sign for: the configured one, or the host's."""
    if region := upstream.options.get("region"):
        return str(region)
    found = _REGION_IN_HOST.search(upstream.base_url)
    return found[1] if found else _DEFAULT_REGION


def _credentials(upstream: Upstream) -> "Credentials | None":
    from botocore.credentials import Credentials

    if upstream.api_key and ":" in upstream.api_key:  # Bedrock API keys have no colon
        access, secret, *session = upstream.api_key.split(":", 2)
        return Credentials(access, secret, session[0] if session else None)
    options = upstream.options
    if options.get("access_key_id") and options.get("secret_access_key"):
        return Credentials(
            options["access_key_id"], options["secret_access_key"], options.get("session_token")
        )
    return None


def _sign(request: HttpRequest, credentials: "Credentials", region: str) -> HttpRequest:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    signed = AWSRequest(
        method=request.method, url=request.url, data=request.body, headers=dict(request.headers)
    )
    SigV4Auth(credentials, _SERVICE, region).add_auth(signed)
    headers = {name.lower(): str(value) for name, value in signed.headers.items()}
    return replace(request, headers=headers)


class BedrockAdapter(Adapter):
    """See `Adapter`.

    `base_url` may be empty or contain `{region}`. The key is a Bedrock API key or
    `ACCESS_KEY:SECRET_KEY[:SESSION_TOKEN]`. The options are `region`, `access_key_id`,
    `secret_access_key` and `session_token`.
    """

    wire = "bedrock"
    opens = ("s3://",)

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        unsigned = HttpRequest(
            url=_build_url(request, upstream),
            headers=_build_headers(upstream, stream=request.stream),
            body=orjson.dumps(build_body(request)),
        )
        return with_credentials(unsigned, upstream)

    def read_response(self, body: bytes, request: CompletionRequest) -> Completion:
        return read_response(parse(body), request)

    def create_stream_reader(self, request: CompletionRequest) -> StreamReader:
        return BedrockStreamReader(request)

    def read_usage(self, raw: Any) -> Usage | None:
        return read_usage(raw)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return read_error(status, headers, body)


def _build_url(request: CompletionRequest, upstream: Upstream) -> str:
    base = upstream.base_url or "https://bedrock-runtime.{region}.amazonaws.com"
    base = base.replace("{region}", region_of(upstream)).rstrip("/")
    # An ARN's slashes are quoted, because they would split the path. Colons are not: yarl, under
    # aiohttp, unquotes `%3A`, and the signature would not match the path that is sent.
    operation = "converse-stream" if request.stream else "converse"
    return f"{base}/model/{quote(request.model, safe=':')}/{operation}"


def _build_headers(upstream: Upstream, *, stream: bool) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "application/vnd.amazon.eventstream" if stream else "application/json",
    }
    return headers | {name.lower(): value for name, value in upstream.headers.items()}
