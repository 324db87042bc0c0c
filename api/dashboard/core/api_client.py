"""A client of the API in this process, with the session of the visitor.

A page sees what the API shows to its visitor, and is refused what the API refuses.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar
from urllib.parse import quote

import orjson
from fastapi import Depends, Request
from pydantic import BaseModel

from api.core.auth import SESSION_COOKIE, WORKSPACE_HEADER
from api.dashboard.core.visitors import VisitorDep
from api.pages.page import address_of
from broker.completion import Json

if TYPE_CHECKING:
    import httpx

Answer = TypeVar("Answer", bound=BaseModel)
Query: TypeAlias = Mapping[str, str | int | float | bool | Sequence[str] | None]
"""Parameters of a query. Those that are None or empty are left out."""
PREFIX = "/api/v1"


class ApiRefusalError(Exception):
    """The API refused a call of a page."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param  # the field that is wrong, if it is known


class ApiClient:
    """Calls routes of the API as the visitor, in the workspace of the page."""

    def __init__(self, request: Request, workspace_id: str) -> None:
        self._request = request
        self._workspace_id = workspace_id
        self._client: httpx.AsyncClient | None = None

    async def get(self, path: str, answer: type[Answer], query: Query | None = None) -> Answer:
        """Return the answer of a GET. `path` follows /api/v1. Raises ApiRefusalError."""
        return answer.model_validate_json(await self._send("GET", path, query=query))

    async def fetch(self, path: str, query: Query | None = None) -> bytes:
        """Return the answer of a GET that is not JSON, such as a table. Raises ApiRefusalError."""
        return await self._send("GET", path, query=query)

    async def get_unprefixed(self, path: str, answer: type[Answer]) -> Answer:
        """Return the answer of a GET of a path that has no prefix, such as /health."""
        return answer.model_validate_json(_require_success(await self._connect().get(path)))

    async def find(
        self, path: str, answer: type[Answer], query: Query | None = None
    ) -> Answer | None:
        """Return the answer of a GET, or None if there is none for this visitor (403, 404)."""
        try:
            return await self.get(path, answer, query)
        except ApiRefusalError as refusal:
            if refusal.status in (403, 404):
                return None
            raise

    async def send(
        self, method: str, path: str, answer: type[Answer], body: Json | None = None
    ) -> Answer:
        """Return the answer of a request with a JSON body. Raises ApiRefusalError."""
        return answer.model_validate_json(await self._send(method, path, body=body))

    async def change(
        self, method: str, path: str, body: Json | None = None, query: Query | None = None
    ) -> None:
        """Send a request whose answer the page does not show. Raises ApiRefusalError."""
        await self._send(method, path, query=query, body=body)

    async def upload(
        self, path: str, answer: type[Answer], file: tuple[str, bytes], fields: Mapping[str, str]
    ) -> Answer:
        """Return the answer to a form with a file, given as name and content."""
        files = {"file": file}
        response = await self._connect().post(_build_url(path), files=files, data=dict(fields))
        return answer.model_validate_json(_require_success(response))

    async def _send(
        self, method: str, path: str, *, query: Query | None = None, body: Json | None = None
    ) -> bytes:
        params: dict[str, Any] = {
            name: value for name, value in (query or {}).items() if value not in (None, "")
        }
        client = self._connect()
        if body is None:
            response = await client.request(method, _build_url(path), params=params)
        else:
            json_type = {"Content-Type": "application/json"}
            response = await client.request(
                method,
                _build_url(path),
                params=params,
                content=orjson.dumps(body),
                headers=json_type,
            )
        return _require_success(response)

    def _connect(self) -> "httpx.AsyncClient":
        """Return the client whose requests go to this process, as from the visitor's browser.

        The form token of the page has shown that no other site sent it: so these requests have the
        same origin. The client opens no connection, so that there is nothing to close.
        """
        import httpx

        if self._client is not None:
            return self._client
        client = (address_of(self._request) or "127.0.0.1", 0)
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self._request.app, False, client=client),
            base_url=str(self._request.base_url),
            cookies={SESSION_COOKIE: self._request.cookies.get(SESSION_COOKIE, "")},
            headers={WORKSPACE_HEADER: self._workspace_id, "Sec-Fetch-Site": "same-origin"},
            timeout=None,  # noqa: S113  # the API limits its own time
            trust_env=False,
        )
        return self._client


async def connect_api(request: Request, visitor: VisitorDep) -> ApiClient:
    """Return the client of a page."""
    return ApiClient(request, visitor.place.id)


ApiDep: TypeAlias = Annotated[ApiClient, Depends(connect_api)]


def _build_url(path: str) -> str:
    """Return the path of a route. What the visitor's path gave is quoted: it stays one segment."""
    return PREFIX + quote(path, safe="/:@")


def _require_success(response: "httpx.Response") -> bytes:
    if response.is_success:
        return response.content
    message, param = f"The API answered {response.status_code}.", None
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        body = None
    if isinstance(body, dict):
        # OpenRouter's envelope, or problem details (RFC 9457)
        error = body["error"] if isinstance(body.get("error"), dict) else body
        message = str(error.get("message") or error.get("detail") or message)
        param = error.get("param")
    raise ApiRefusalError(response.status_code, message, param)
