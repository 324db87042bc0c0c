"""Forms that only our pages can send: a token in the form belongs to a cookie of the browser."""

import secrets

from starlette.requests import Request

from api.core.services import services_of
from broker.errors import PermissionDeniedError
from broker.signing import Signer

FORM_COOKIE = "waybill_form"
FORM_SECONDS = 8 * 3600
MAX_FORM_BYTES = 100_000


def new_cookie() -> str:
    return secrets.token_urlsafe(24)


def form_token(signer: Signer, cookie: str) -> str:
    """Return the token that a form of this browser carries."""
    return signer.link("", f"form:{cookie}", FORM_SECONDS)


async def read_form(request: Request) -> dict[str, str]:
    """Return a form's fields. Raises PermissionDeniedError where no page of ours sent it."""
    async with request.form(max_files=0, max_fields=50, max_part_size=MAX_FORM_BYTES) as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
    cookie = request.cookies.get(FORM_COOKIE, "")
    if not cookie or not _holds(services_of(request).signer, cookie, fields.pop("form_token", "")):
        raise PermissionDeniedError(
            "This form has expired, or cookies are off: go back, load the page again, send it "
            "again."
        )
    return fields


def _holds(signer: Signer, cookie: str, token: str) -> bool:
    fields = dict(part.partition("=")[::2] for part in token.lstrip("?").split("&"))
    expires = fields.get("expires", "")
    if not expires.isdecimal():
        return False
    return signer.holds(f"form:{cookie}", int(expires), fields.get("signature", ""))
