"""Pages under /oidc: sign-in by an OpenID provider (OpenID Connect Core 1.0, code flow, PKCE)."""

import time
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.core.services import get_services
from api.pages.page import local_path, redirect, render_page, set_cookie, sign_in
from broker.accounts import Role, sessions
from broker.administration import carry_out, users
from broker.administration.users import OpenIdSubject
from broker.completion import Json
from broker.errors import WaybillError
from broker.settings import Settings

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import AsyncOAuth2Client

router = APIRouter(prefix="/oidc")
log = structlog.get_logger()
STATE_COOKIE = "waybill_oidc"
STATE_SECONDS = 600
TIMEOUT_SECONDS = 10
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
FAILED = "The provider's answer could not be used. Try again; if it stays so, ask an administrator."


@router.get("/start")
async def start(request: Request, next: str | None = None) -> Response:  # noqa: A002
    """Redirect the browser to the provider."""
    services = get_services(request)
    if not services.settings.oidc_issuer:
        return render_page(
            request, "message.html", 404, title="Not found", text="No provider is set up."
        )
    state = {
        "state": token_urlsafe(32),
        "nonce": token_urlsafe(32),
        "verifier": token_urlsafe(48),
        "next": local_path(next),
        "until": int(time.time()) + STATE_SECONDS,
    }
    try:
        async with _build_client(services.settings) as client:
            provider = await _fetch_metadata(client, services.settings)
            url, _ = client.create_authorization_url(
                provider["authorization_endpoint"],
                state=state["state"], nonce=state["nonce"], code_verifier=state["verifier"],
            )  # fmt: skip
    except Exception as error:  # noqa: BLE001  # whatever a provider may do
        return _render_failure(request, error)
    response = redirect(url)
    set_cookie(
        request, response, STATE_COOKIE, services.encryption.encrypt(orjson.dumps(state).decode()),
        STATE_SECONDS,
    )  # fmt: skip
    return response


@router.get("/callback")
async def callback(request: Request) -> Response:
    """Identify the user by the provider's answer, and open a session."""
    services = get_services(request)
    try:
        state = _read_state(request)
        claims = await _fetch_claims(request, services.settings, state)
        subject = OpenIdSubject(
            issuer=str(claims["iss"]),
            subject=str(claims["sub"]),
            email=str(claims.get("email", "")).lower(),
            email_verified=claims.get("email_verified") in (True, "true"),
            name=str(claims.get("name", "")),
        )
        config = services.settings
        user = await carry_out(
            services.database,
            lambda connection: users.admit_subject(
                connection, subject, config.oidc_workspace, Role(config.oidc_role)
            ),
        )
    except WaybillError as error:
        return render_page(
            request, "message.html", error.status, title="Not possible", text=error.message
        )
    except Exception as error:  # noqa: BLE001  # whatever a provider may do
        return _render_failure(request, error)
    token = await carry_out(
        services.database, lambda connection: sessions.open_session(connection, user.id)
    )
    response = sign_in(request, redirect(local_path(state["next"])), token)
    response.delete_cookie(STATE_COOKIE)
    return response


def _build_client(config: Settings) -> "AsyncOAuth2Client":
    from authlib.integrations.httpx_client import AsyncOAuth2Client

    return AsyncOAuth2Client(
        config.oidc_client_id,
        config.oidc_client_secret,
        scope="openid email profile",
        redirect_uri=f"{config.public_url.rstrip('/')}/oidc/callback",
        code_challenge_method="S256",
        timeout=TIMEOUT_SECONDS,
    )


async def _fetch_metadata(client: "AsyncOAuth2Client", config: Settings) -> Json:
    """Return the provider's metadata (OpenID Connect Discovery 1.0, §4)."""
    issuer = config.oidc_issuer.rstrip("/")
    found = await _fetch_json(client, f"{issuer}/.well-known/openid-configuration")
    if str(found.get("issuer", "")).rstrip("/") != issuer:
        raise ValueError("the provider names another issuer")
    return found


async def _fetch_json(client: "AsyncOAuth2Client", url: str) -> Json:
    answer = await client.request("GET", url, withhold_token=True)
    answer.raise_for_status()
    body: Json = answer.json()
    return body


def _read_state(request: Request) -> Json:
    """Return the state of the sign-in. Raises ValueError for an answer to another sign-in."""
    encrypted = request.cookies.get(STATE_COOKIE, "")
    state: Json = (
        orjson.loads(get_services(request).encryption.decrypt(encrypted)) if encrypted else {}
    )
    if state.get("until", 0) < time.time():
        raise ValueError("this sign-in did not start here, or too long ago")
    if state["state"] != request.query_params.get("state"):
        raise ValueError("the state belongs to another sign-in")
    if "error" in request.query_params:
        raise ValueError(f"the provider refused: {request.query_params['error'][:100]}")
    return state


async def _fetch_claims(request: Request, config: Settings, state: Json) -> dict[str, Any]:
    """Exchange the code for an ID token and check it (OpenID Connect Core 1.0, §3.1.3.7)."""
    from joserfc import jwt
    from joserfc.jwk import KeySet

    async with _build_client(config) as client:
        provider = await _fetch_metadata(client, config)
        token = await client.fetch_token(
            provider["token_endpoint"],
            code=request.query_params.get("code", ""),
            code_verifier=state["verifier"],
        )
        keys = KeySet.import_key_set(await _fetch_json(client, provider["jwks_uri"]))  # type: ignore[arg-type]
    decoded = jwt.decode(token["id_token"], keys, algorithms=ALGORITHMS)
    expected = jwt.JWTClaimsRegistry(
        leeway=60,
        iss={"essential": True, "value": provider["issuer"]},
        aud={"essential": True, "value": config.oidc_client_id},
        exp={"essential": True},
        nonce={"essential": True, "value": state["nonce"]},
    )
    expected.validate(decoded.claims)
    claims: dict[str, Any] = decoded.claims
    return claims


def _render_failure(request: Request, error: Exception) -> Response:
    log.warning("oidc.failed", error=str(error), kind=type(error).__name__)
    return render_page(request, "message.html", 502, title="Signing in failed", text=FAILED)
