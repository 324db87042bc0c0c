"""The ASGI application: its services, routes, middleware and answers to errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import structlog
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api import assets, openapi
from api.core import errors
from api.core import request as queries
from api.core.auth import Keyring
from api.core.bodies import DirectCalls, direct_endpoints
from api.core.concurrency_limits import EndCallbacks, OpenStreams, UploadLimits
from api.core.error_bodies import PREFIXES
from api.core.errors import error_response
from api.core.job_subscriptions import JobSubscriptions
from api.core.local_models import LocalModels
from api.core.middleware import (
    CrossOrigin,
    RequestIds,
    StalledBodies,
    TrustedProxies,
    UnexpectedErrors,
)
from api.core.rate_limits import RefusalLimits
from api.core.services import Services
from api.dashboard import router as dashboard
from api.monitoring import routes as monitoring
from api.pages import router as pages
from api.routers import ROUTERS
from broker import settings
from broker.catalog import LiveCatalog
from broker.credentials import LiveCredentials
from broker.dispatch.publisher import Publisher
from broker.errors import (
    InvalidRequestError,
    NotFoundError,
    StorageFullError,
    UnavailableError,
    WaybillError,
)
from broker.providers import configuration
from broker.providers.health import Observer
from broker.rate_limits import Limiter, connect
from broker.requests.bodies import describe_problem
from broker.security.encryption import Encryption
from broker.security.signed_links import Signer
from broker.settings.installation_key import older_keys, signing_key
from broker.storage.database import Database, is_disk_full
from broker.storage.files import file_store

AWAY = (
    "The {} does not answer at the moment; the log says why. Try again, with the same "
    "Idempotency-Key where there is one."
)
DISK_FULL = (
    "The disk of the database is full: nothing of this was kept. Have the operator make room, and "
    "send it again."
)

log = structlog.get_logger()


def create_app(config: settings.Settings | None = None) -> FastAPI:
    """Return the application. It connects when it starts, and expects a migrated database."""
    config = config or settings.load()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with run_services(app, config):
            yield

    app = FastAPIOffline(  # its pages load no script from elsewhere
        title="Waybill",
        version=version("waybill-broker"),
        summary="A self-hosted broker for LLM completions: every request is a durable job.",
        description=openapi.DESCRIPTION,
        lifespan=lifespan,
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,  # `core.errors` does it, without the caller's Host header
        telemetry={"tracing": False, "metrics": False, "logs": False},  # asked at each request
        generate_unique_id_function=lambda route: route.name,
    )
    _add_routes(app)
    _add_middleware(app, config)
    _shape_errors(app)
    openapi.complete(app)
    return app


@asynccontextmanager
async def run_services(app: FastAPI, config: settings.Settings) -> AsyncIterator[None]:
    """Connect the services of an application while the block runs."""
    services = app.state.services = build(config)
    await _start(services)
    yield
    await _stop(services)


async def _start(services: Services) -> None:
    services.publisher.start()
    services.subscriptions.start()
    services.keyring.start()
    services.observer.start()
    services.live_catalog.start()
    await services.local_models.start()
    services.credentials.start()


async def _stop(services: Services) -> None:
    await services.keyring.close()
    await services.limiter.close()
    await services.subscriptions.close()
    await services.observer.close()
    await services.local_models.close()
    await services.live_catalog.close()
    await services.credentials.close()
    await services.redis.aclose()
    await services.publisher.close()
    services.database.close()


def _add_routes(app: FastAPI) -> None:
    """Serve every router below each prefix; document it once.

    The framework builds the routes of a router when a request reaches it. The few that have no
    prefix come first, so that a check of health builds no others.
    """
    for router in (monitoring.router, assets.router, pages, dashboard):
        app.include_router(router)
    for prefix in PREFIXES:
        for router in ROUTERS:
            app.include_router(
                router,
                prefix=prefix,
                dependencies=[Depends(queries.check_query)],
                include_in_schema=prefix == PREFIXES[0],
            )


def _add_middleware(app: FastAPI, config: settings.Settings) -> None:
    """Add the middleware, from the innermost to the outermost."""
    app.add_middleware(DirectCalls, application=app, endpoints=direct_endpoints(ROUTERS, PREFIXES))
    app.add_middleware(StalledBodies)
    app.add_middleware(UnexpectedErrors)
    app.add_middleware(EndCallbacks)
    app.add_middleware(RefusalLimits, max_refusals=config.refusals_per_minute)
    if config.cors_origins:
        app.add_middleware(CrossOrigin, origins=config.cors_origins, prefixes=PREFIXES)
    app.add_middleware(RequestIds)
    if config.trusted_proxies:
        app.add_middleware(TrustedProxies, networks=config.trusted_proxies)


def build(config: settings.Settings) -> Services:
    """Connect the services that routes need."""
    database = Database(config.database, sqlite_synchronous=config.sqlite_synchronous)
    redis = Redis.from_url(config.redis)
    key = signing_key(config)
    encryption, known = Encryption(key, older_keys(config)), configuration.load_providers(config)
    live_catalog = LiveCatalog(config, known, database)
    return Services(
        settings=config,
        database=database,
        redis=redis,
        observer=Observer(redis),
        publisher=Publisher(config.transport),
        live_catalog=live_catalog,
        local_models=LocalModels(known, live_catalog),
        keyring=Keyring(database),
        limiter=Limiter(connect(config.redis), database),
        subscriptions=JobSubscriptions(redis, database),
        open_streams=OpenStreams(config.streams_per_key),
        upload_limits=UploadLimits(config.uploads_per_minute),
        files=file_store(config),
        signer=Signer(key),
        encryption=encryption,
        credentials=LiveCredentials(database, encryption, known),
    )


async def _invalid_parameter(request: Request, error: RequestValidationError) -> Response:
    """Name the invalid parameter, if the caller may call the route."""
    try:
        await queries.require_key(request)
    except WaybillError as refusal:
        return error_response(request, refusal)
    problem = error.errors()[0]
    field = str(problem["loc"][-1])
    return error_response(
        request, InvalidRequestError(f"{field}: {describe_problem(problem)}", param=field)
    )


def _shape_errors(app: FastAPI) -> None:
    @app.exception_handler(WaybillError)
    async def refused(request: Request, error: WaybillError) -> Response:
        return error_response(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid_parameter(request: Request, error: RequestValidationError) -> Response:
        return await _invalid_parameter(request, error)

    @app.exception_handler(ClientDisconnect)
    async def hung_up(request: Request, _: ClientDisconnect) -> Response:
        """End a request whose caller disconnected in the middle of the body."""
        log.info("api.caller_hung_up", path=request.url.path)
        return Response(status_code=400)

    @app.exception_handler(DataError)
    async def unstorable(request: Request, error: DataError) -> Response:
        """Refuse a value that PostgreSQL does not store, such as an id with a NUL."""
        log.warning("api.unstorable", path=request.url.path, error=str(error.orig))
        if "\0" in request.url.path:  # no id contains a NUL
            return error_response(request, NotFoundError(f"There is no {request.url.path!r}."))
        return error_response(
            request, InvalidRequestError("A value in this request cannot be looked up or stored.")
        )

    @app.exception_handler(OperationalError)
    @app.exception_handler(InterfaceError)
    async def out_of_order(request: Request, error: DBAPIError) -> Response:
        """Answer while the database does not answer, or its disk is full."""
        log.error("api.database_failed", path=request.url.path, error=str(error.orig))
        if is_disk_full(error):
            return error_response(request, StorageFullError(DISK_FULL))
        return error_response(request, UnavailableError(AWAY.format("database")))

    @app.exception_handler(RedisError)
    async def without_redis(request: Request, error: RedisError) -> Response:
        log.error("api.redis_failed", path=request.url.path, error=str(error))
        return error_response(request, UnavailableError(AWAY.format("Redis server")))

    @app.exception_handler(HTTPException)
    async def turned_away(request: Request, error: HTTPException) -> Response:
        return errors.answer_unrouted(app, request, error)
