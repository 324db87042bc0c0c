"""What the query of a GET may say: what its route knows.

A filter with a slip in its name would be passed over, and the list show what was not asked for.
"""

import difflib
import math
import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from fastapi.dependencies.models import Dependant
from pydantic import AfterValidator, BaseModel, BeforeValidator
from starlette.requests import Request

from api.core.services import services_of
from broker.errors import InvalidRequestError
from broker.ids import is_id

METADATA = re.compile(r"metadata\[(.{1,64})\]")
"""A filter whose name is the caller's own; routes that have it know it by this one:"""
ANY_METADATA = "metadata[name]"

PASSED_OVER = frozenset({"api-version", "beta", "use_rss", "use_rss_chat_links"})
"""What clients made for OpenAI's, Anthropic's and OpenRouter's APIs send along."""


async def check(request: Request) -> None:
    """Raise for a name that the route does not know, and for a value that nothing can have."""
    if request.method != "GET" or not request.scope["query_string"]:
        return
    known = _known(request.scope["route"].dependant)
    for name, value in request.query_params.multi_items():
        asked = ANY_METADATA if METADATA.fullmatch(name) else name
        if asked not in known | PASSED_OVER:
            await require_key(request)
            raise InvalidRequestError(_unknown(name, known), param=name)
        if "\0" in value:
            await require_key(request)
            raise InvalidRequestError(f"{name}: there is a NUL in it.", param=name)


async def require_key(request: Request) -> None:
    """Raise AuthenticationError for a caller without a key, where the route wants one.

    A route asks this itself; what is wrong with a query is told only to those who may call it.
    """
    route = request.scope.get("route")
    if "security" not in (getattr(route, "openapi_extra", None) or {}):
        await services_of(request).keyring.principal(request)


def cursor(prefix: str) -> AfterValidator:
    """Take the ids that begin like this, be their objects still there or not."""

    def checked(value: str) -> str:
        if not is_id(prefix, value):
            raise ValueError(f"{value[:40]!r} is no id here: give the last_id of the page before")
        return value

    return AfterValidator(checked)


def _unix_seconds(value: object) -> float:
    """Read a time: Unix seconds, or ISO 8601, which is UTC where it names no zone."""
    text = str(value)
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(
                f"{text[:40]!r} is no time: give Unix seconds or ISO 8601 (2026-01-31T12:00:00Z)"
            ) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = moment.timestamp()
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{text[:40]!r} is no time after 1970")
    return seconds


Moment: TypeAlias = Annotated[float, BeforeValidator(_unix_seconds)]
JobCursor: TypeAlias = Annotated[str, cursor("job_")]
FileCursor: TypeAlias = Annotated[str, cursor("file_")]
BatchCursor: TypeAlias = Annotated[str, cursor("batch_")]
DeliveryCursor: TypeAlias = Annotated[str, cursor("dlv_")]
AuditCursor: TypeAlias = Annotated[str, cursor("aud_")]


def _known(dependant: Dependant) -> set[str]:
    """Return the names that a route, and what it depends on, take from a query."""
    names: set[str] = set()
    for each in dependant.query_params:
        form = each.field_info.annotation
        if isinstance(form, type) and issubclass(form, BaseModel):
            names |= {field.alias or name for name, field in form.model_fields.items()}
        else:
            names.add(each.alias)
    return names.union(*map(_known, dependant.dependencies))


def _unknown(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name[:100], known, n=1)
    if near:
        return f"{name[:64]}: there is no such query parameter here; {near[0]} is meant, perhaps."
    what = f"this route knows {', '.join(sorted(known))}" if known else "this route takes none"
    return f"{name[:64]}: there is no such query parameter here; {what}."
