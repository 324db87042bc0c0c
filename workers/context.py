"""The WorkerContext: what an attempt uses, built once per worker process."""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field

from redis.asyncio import Redis

from broker.completion import AttemptAnswer
from broker.credentials import LiveCredentials
from broker.dispatch.publisher import CeleryPublisher
from broker.events.job_events import EventWriter
from broker.events.signals import new_worker_id
from broker.providers.configuration import load_providers
from broker.providers.health import Observer, Recorder
from broker.providers.pacing import Pacer, Throttles
from broker.providers.pauses import LivePauses
from broker.queues import Lane
from broker.rate_limits import Limiter, connect
from broker.security.encryption import Encryption
from broker.settings import Settings
from broker.settings.installation_key import older_keys, signing_key
from broker.storage.database import Database
from broker.storage.files import FileStore, file_store
from workers.media import Fetcher
from workers.media.fetching import MediaMemory
from workers.provider_routes import ProviderRoute, build_routes
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
    worker_id = settings.worker_id or new_worker_id()
    known = build_routes(load_providers(settings))
    limits = {slug: route.limits for slug, route in known.items()}
    database = Database(settings.database, sqlite_synchronous=settings.sqlite_synchronous)
    encryption = Encryption(signing_key(settings), older_keys(settings))
    return WorkerContext(
        settings=settings,
        worker_id=worker_id,
        database=database,
        redis=redis,
        events=EventWriter(redis, ttl_seconds=settings.event_ttl_seconds),
        recorder=Recorder(redis, worker_id),
        observer=Observer(redis, opens_circuits=True),
        publisher=CeleryPublisher(settings.transport),
        wire=ProviderClient(settings),
        fetch=Fetcher(settings),
        media_room=MediaMemory(settings.worker_media_bytes),
        files=file_store(settings),
        routes=known,
        credentials=LiveCredentials(database, encryption, known),
        limiter=Limiter(connect(settings.redis), database),
        sandbox=Sandbox(),
        pauses=LivePauses(database),
        pacer=Pacer(redis, worker_id, limits, max_calls=settings.worker_concurrency),
    )
