"""JSON bodies of requests: read into a model after authentication, and described in OpenAPI.

FastAPI's own body parameters would read a body of any size before the caller is authenticated.
"""

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Annotated, Any, Generic, TypeAlias, TypeVar

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.encoders import jsonable_encoder
from fastapi.routing import APIRoute
from pydantic import BaseModel, WithJsonSchema
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.core.dependencies import ServicesDep
from api.core.request import read_json
from broker.completion import Json
from broker.requests.bodies import validated

REFERENCE = "#/components/schemas/{model}"

FileContent: TypeAlias = Annotated[bytes, WithJsonSchema({"type": "string", "format": "binary"})]
"""A file of a form."""

Body = TypeVar("Body", bound=BaseModel)

_models: dict[str, type[BaseModel]] = {}  # of all bodies, by name


class _ModelBody(Generic[Body]):
    """A body with a model and an example. Without `required` it may be absent."""

    media_type = "application/json"

    def __init__(self, model: type[Body], example: Json, *, required: bool = True) -> None:
        self.model = _models[model.__name__] = model
        self.example = example
        self.required = required

    def openapi(self) -> Json:
        """Return the OpenAPI request body; its schema is the title for `build_body_schema`."""
        schema = {"title": self.model.__name__}
        content = {self.media_type: {"schema": schema, "example": self.example}}
        return {"requestBody": {"required": self.required, "content": content}}


def build_body_schema(title: str) -> Json:
    """Return the JSON Schema of the body with this title; the schema has its own `$defs`."""
    schema = _models[title].model_json_schema(ref_template=REFERENCE)
    found: Json = jsonable_encoder(schema, exclude_none=True)
    return found


class DescribedBody(_ModelBody[Body]):
    """A dependency that describes a JSON body which its route reads itself."""

    async def __call__(self) -> None:
        """Read nothing."""


class DescribedForm(DescribedBody[Body]):
    """A dependency that describes a form which its route reads itself."""

    media_type = "multipart/form-data"


class JsonBody(_ModelBody[Body]):
    """A dependency that reads a JSON body into its model.

    A route names it after its caller, so that the caller is authenticated first.
    """

    def __init__(
        self,
        model: type[Body],
        example: Json,
        *,
        required: bool = True,
        max_bytes: int | None = None,
    ) -> None:
        super().__init__(model, example, required=required)
        self.max_bytes = max_bytes

    async def __call__(self, request: Request, services: ServicesDep) -> Body:
        """Return the body. Raises InvalidRequestError that names the field."""
        most = self.max_bytes or services.settings.max_body_bytes
        body = await read_json(request, most, or_nothing=not self.required)
        return validated(self.model, body)


class Route(APIRoute):
    """A route whose OpenAPI operation has the bodies that dependencies of it describe."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **details: Any) -> None:
        super().__init__(path, endpoint, **details)
        bodies = [body.openapi() for body in _described_bodies(self.dependant)]
        if bodies:
            for other in bodies[1:]:  # of other media types
                bodies[0]["requestBody"]["content"] |= other["requestBody"]["content"]
            self.openapi_extra = bodies[0] | (self.openapi_extra or {})


class DirectRoute(Route):
    """A route that calls its endpoint with the request, without dependencies or serialization.

    Its dependencies only describe its parameters.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint itself."""
        return self.endpoint


Endpoint: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]


def direct_endpoints(
    routers: Iterable[APIRouter], prefixes: Iterable[str]
) -> Mapping[tuple[str, str], Endpoint]:
    """Return the endpoints of direct routes without path parameters, by method and path."""
    routes = [route for router in routers for route in router.routes]
    return {
        (method, prefix + route.path): route.endpoint
        for prefix in prefixes
        for route in routes
        if isinstance(route, DirectRoute) and "{" not in route.path
        for method in route.methods or ()
    }


class DirectCalls:
    """Calls the endpoints of direct routes without the framework's routing.

    It finds one by its path, where the framework tries route after route, and enters none of the
    contexts that dependencies need. Everything else goes to the framework.
    """

    def __init__(
        self, app: ASGIApp, application: FastAPI, endpoints: Mapping[tuple[str, str], Endpoint]
    ) -> None:
        self._app = app
        self._endpoints = endpoints
        self._direct = ExceptionMiddleware(self._call, handlers=application.exception_handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_direct = scope["type"] == "http" and (scope["method"], scope["path"]) in self._endpoints
        await (self._direct if is_direct else self._app)(scope, receive, send)

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._endpoints[scope["method"], scope["path"]](
            Request(scope, receive, send)
        )
        await response(scope, receive, send)


def _described_bodies(dependant: Dependant) -> Iterator[_ModelBody[Any]]:
    for each in dependant.dependencies:
        if isinstance(each.call, _ModelBody):
            yield each.call
        yield from _described_bodies(each)


NO_KEY: Json = {"security": []}
KEY_OPTIONAL: Json = {"security": [{}, {"key": []}]}
