"""AWS credentials and Signature Version 4, by botocore's signer.

Credentials come from `Upstream.api_key`, either as `ACCESS:SECRET[:SESSION]` or as a Bedrock API
key (sent as a bearer token), or else from `Upstream.options`: `access_key_id`,
`secret_access_key`, `session_token`.
"""

import re
from dataclasses import replace

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from workers.adapters.base import HttpRequest, Upstream

_SERVICE = "bedrock"
_DEFAULT_REGION = "us-east-1"
_REGION_IN_HOST = re.compile(r"bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")


def authorized(request: HttpRequest, upstream: Upstream) -> HttpRequest:
    """Return `request` with a bearer token or a signature; untouched without credentials."""
    credentials = _credentials(upstream)
    if credentials is not None:
        return _signed(request, credentials, region_of(upstream))
    if upstream.api_key:
        headers = {**request.headers, "authorization": f"Bearer {upstream.api_key}"}
        return replace(request, headers=headers)
    return request


def region_of(upstream: Upstream) -> str:
    """Return the region to sign for: the configured one, else the host's."""
    if region := upstream.options.get("region"):
        return str(region)
    found = _REGION_IN_HOST.search(upstream.base_url)
    return found[1] if found else _DEFAULT_REGION


def _credentials(upstream: Upstream) -> Credentials | None:
    if upstream.api_key and ":" in upstream.api_key:  # Bedrock API keys have no colon
        access, secret, *session = upstream.api_key.split(":", 2)
        return Credentials(access, secret, session[0] if session else None)
    options = upstream.options
    if options.get("access_key_id") and options.get("secret_access_key"):
        return Credentials(
            options["access_key_id"], options["secret_access_key"], options.get("session_token")
        )
    return None


def _signed(request: HttpRequest, credentials: Credentials, region: str) -> HttpRequest:
    signed = AWSRequest(
        method=request.method, url=request.url, data=request.body, headers=dict(request.headers)
    )
    SigV4Auth(credentials, _SERVICE, region).add_auth(signed)
    headers = {name.lower(): str(value) for name, value in signed.headers.items()}
    return replace(request, headers=headers)
