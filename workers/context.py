"""The WorkerContext: what an attempt uses, built once per worker process."""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TypeAlias

from redis.asyncio import Redis

from broker.completion import Completion, Document, Failure
from broker.credentials import LiveCredentials
from broker.dispatch.publisher import CeleryPublisher
from broker.events.job_events import EventWriter
from broker.ids import new_id
from broker.providers.configuration import Provider, configured
from broker.providers.health import Observer, Recorder
from broker.providers.pacing import Pacer, ProviderLimits, Throttles
from broker.providers.pauses import LivePauses
from broker.queues import Lane
from broker.rate_limits import Limiter, connect
from broker.requests.operations import Operation
from broker.security.encryption import Encryption
from broker.settings import Settings
from broker.settings.installation_key import older_keys, signing_key
from broker.storage.database import Database
from broker.storage.files import FileStore, file_store
from workers.adapters.base import Adapter, Upstream
from workers.adapters.openai.quirks import OpenAiQuirk
from workers.adapters.registry import ADAPTERS
from workers.media import Fetcher
from workers.media.fetching import MediaMemory
from workers.operations.base import OperationAdapter
from workers.operations.registry import operation_adapter
from workers.sandbox.pool import Sandbox
from workers.upstream.client import ProviderClient

BATCH_CLAIMS = 32
"""The number of batch jobs that are claimed together. The loop and the writer finish so many before
an interactive job feels it, and each job that begins is one that ends a little later: this bounds
what batches ask of a process at any moment, however many calls they have in flight."""


class Lanes:
    """Lets batch jobs begin a few at a time; interactive ones at once."""

    def __init__(self) -> None:
        self._batch = asyncio.Semaphore(BATCH_CLAIMS)

    def turn(self, lane: Lane) -> AbstractAsyncContextManager[None]:
        return nullcontext() if lane is Lane.INTERACTIVE else self._batch


AttemptAnswer: TypeAlias = Completion | Document | Failure


@dataclass(frozen=True, slots=True)
class ProviderRoute:
    """The adapter, the connection data and the limits of one provider."""

    chat: Adapter
    upstream: Upstream
    limits: ProviderLimits
    batches: str | None = None  # its batch API, see `native_batches`
    is_shared: bool = True  # the installation can call it with a key of its own, or without one

    def adapter(self, operation: Operation) -> Adapter | OperationAdapter | None:
        """Return who translates this operation, or None where the provider does not serve it."""
        if operation is Operation.CHAT:
            return self.chat
        return operation_adapter(operation, self.upstream.wire, self.upstream.quirks)


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """Everything an attempt uses; nothing in it belongs to a single job."""

    settings: Settings
    worker_id: str  # whose leases these are; new at every start
    database: Database
    redis: Redis
    events: EventWriter
    recorder: Recorder
    observer: Observer
    publisher: CeleryPublisher
    wire: ProviderClient
    fetch: Fetcher
    media_room: MediaMemory
    files: FileStore
    routes: dict[str, ProviderRoute]  # more come as workspaces bring keys, see `own_keys`
    credentials: LiveCredentials
    pacer: Pacer
    limiter: Limiter
    sandbox: Sandbox  # for computation on callers' data
    pauses: LivePauses  # providers that an operator has paused
    throttles: Throttles = field(default_factory=Throttles)
    refused_at: dict[str, int] = field(default_factory=dict)  # workspaces' keys, last written down
    lanes: Lanes = field(default_factory=Lanes)
    running: dict[str, "asyncio.Future[AttemptAnswer]"] = field(
        default_factory=dict
    )  # attempts by job id
    streaming: set[str] = field(default_factory=set)  # running jobs whose stream has begun
    held: dict[str, int] = field(default_factory=dict)  # attempt numbers of claimed jobs, by job id
    called_off: dict[str, bool] = field(default_factory=dict)
    """Held jobs whose callers cancelled them: whether their providers may still state the usage."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)  # no attempt may begin

    async def close(self) -> None:
        """Send what waits, and disconnect."""
        await self.pauses.close()
        await self.credentials.close()
        await self.pacer.close()
        await self.limiter.close()
        await self.events.close()
        await self.observer.close()
        await self.recorder.close()
        await self.wire.aclose()
        await self.fetch.aclose()
        await self.redis.aclose()
        await asyncio.to_thread(self.sandbox.close)
        await asyncio.to_thread(self.database.close)
        await asyncio.to_thread(self.publisher.close)


def open_context(settings: Settings) -> WorkerContext:
    """Connect to everything an attempt uses; on the running loop."""
    redis = Redis.from_url(settings.redis)
    worker_id = settings.worker_id or f"{socket.gethostname()}:{new_id('')}"
    known = routes(configured(settings))
    limits = {slug: route.limits for slug, route in known.items()}
    database = Database(settings.database, sqlite_synchronous=settings.sqlite_synchronous)
    seal = Encryption(signing_key(settings), older_keys(settings))
    return WorkerContext(
        settings=settings,
        worker_id=worker_id,
        database=database,
        redis=redis,
        events=EventWriter(redis, ttl_seconds=settings.event_ttl_seconds),
        recorder=Recorder(redis, worker_id),
        observer=Observer(redis, judges=True),
        publisher=CeleryPublisher(settings.transport),
        wire=ProviderClient(settings),
        fetch=Fetcher(settings),
        media_room=MediaMemory(settings.worker_media_bytes),
        files=file_store(settings),
        routes=known,
        credentials=LiveCredentials(database, seal, known),
        limiter=Limiter(connect(settings.redis), database),
        sandbox=Sandbox(),
        pauses=LivePauses(database),
        pacer=Pacer(redis, worker_id, limits, most=settings.worker_concurrency),
    )


def routes(providers: Mapping[str, Provider]) -> dict[str, ProviderRoute]:
    """Return how to speak to each provider. Raises SystemExit for an unknown wire or quirk."""
    return {slug: _route(provider) for slug, provider in providers.items()}


def _route(provider: Provider) -> ProviderRoute:
    adapter = ADAPTERS.get(provider.wire)
    if adapter is None:
        raise SystemExit(
            f"waybill: provider {provider.slug!r} has wire {provider.wire!r}; "
            f"known wires are {', '.join(sorted(ADAPTERS))}"
        )
    if (
        unknown := provider.quirks
        - adapter.quirks
        - {OpenAiQuirk.INLINE_MEDIA}
        - _of_another(provider)
    ):
        raise SystemExit(
            f"waybill: provider {provider.slug!r} has quirk {min(unknown)!r}; its wire knows "
            f"{', '.join(sorted(adapter.quirks)) or 'none'}"
        )
    return ProviderRoute(adapter, upstream_of(provider), provider.limits, provider.batches)


def _of_another(provider: Provider) -> frozenset[str]:
    """Return the quirks of a vendor's usual wire, where waybill.toml has it speak another."""
    vendor = provider.vendor
    return frozenset(() if vendor is None or vendor.wire == provider.wire else vendor.quirks)


def upstream_of(provider: Provider) -> Upstream:
    """Return the part of a provider that its adapter needs."""
    return Upstream(
        slug=provider.slug,
        wire=provider.wire,
        base_url=provider.base_url,
        api_key=provider.api_key,
        headers=provider.headers,
        options=provider.options,
        quirks=provider.quirks,
    )
