"""The WorkerContext: the connections and the shared state of a worker or dispatcher process."""

import asyncio
from dataclasses import dataclass
from functools import partial

from redis.asyncio import Redis

from broker.credentials import LiveCredentials
from broker.dispatch.publisher import Publisher
from broker.events.job_events import EventWriter
from broker.events.signals import new_worker_id
from broker.providers.configuration import load_providers
from broker.providers.health import Observer, Recorder
from broker.providers.pacing import Pacer
from broker.providers.pauses import LivePauses
from broker.rate_limits import Limiter, connect
from broker.security.encryption import Encryption
from broker.settings import Settings
from broker.settings.installation_key import older_keys, signing_key
from broker.storage.database import Database
from broker.storage.files import FileStore, file_store
from workers.attempt.credentials import add_credential_providers
from workers.media import Fetcher
from workers.media.readers import create_ocr_pool
from workers.provider_routes import ProviderRoute, build_routes
from workers.sandbox.pool import Sandbox
from workers.upstream.client import ProviderClient


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """The connections that a process opens once. The parts of a worker are built from it."""

    settings: Settings
    worker_id: str  # the owner of this process's leases; new at every start
    encryption: Encryption
    database: Database
    redis: Redis
    events: EventWriter
    recorder: Recorder
    observer: Observer
    publisher: Publisher
    client: ProviderClient
    fetch: Fetcher
    files: FileStore
    routes: dict[str, ProviderRoute]  # providers of workspace credentials are added later
    credentials: LiveCredentials
    pacer: Pacer
    limiter: Limiter
    sandbox: Sandbox
    ocr_sandbox: Sandbox
    pauses: LivePauses

    async def start(self) -> None:
        """Begin to publish, and to follow endpoint health, workspace credentials and pauses."""
        self.publisher.start()
        self.observer.start()
        self.credentials.start(
            partial(
                add_credential_providers, self.routes, self.pacer, self.credentials, self.settings
            )
        )
        await self.pauses.start()

    async def close(self) -> None:
        """Send what waits to be sent, and disconnect."""
        await self.pauses.close()
        await self.credentials.close()
        await self.pacer.close()
        await self.limiter.close()
        await self.events.close()
        await self.observer.close()
        await self.recorder.close()
        await self.client.aclose()
        await self.fetch.aclose()
        await self.redis.aclose()
        await asyncio.to_thread(self.sandbox.close)
        await asyncio.to_thread(self.ocr_sandbox.close)
        await asyncio.to_thread(self.database.close)
        await self.publisher.close()


def open_context(settings: Settings) -> WorkerContext:
    """Open the connections of a process. Call it on the running loop."""
    redis = Redis.from_url(settings.redis)
    worker_id = settings.worker_id or new_worker_id()
    routes = build_routes(load_providers(settings))
    limits = {slug: route.limits for slug, route in routes.items()}
    database = Database(settings.database, sqlite_synchronous=settings.sqlite_synchronous)
    encryption = Encryption(signing_key(settings), older_keys(settings))
    return WorkerContext(
        settings=settings,
        worker_id=worker_id,
        encryption=encryption,
        database=database,
        redis=redis,
        events=EventWriter(redis, ttl_seconds=settings.event_ttl_seconds),
        recorder=Recorder(redis, worker_id),
        observer=Observer(redis, opens_circuits=True),
        publisher=Publisher(settings.transport),
        client=ProviderClient(settings),
        fetch=Fetcher(settings),
        files=file_store(settings),
        routes=routes,
        credentials=LiveCredentials(database, encryption, routes),
        pacer=Pacer(redis, worker_id, limits, max_calls=settings.worker_concurrency),
        limiter=Limiter(connect(settings.redis), database),
        sandbox=Sandbox(),
        ocr_sandbox=create_ocr_pool(),
        pauses=LivePauses(database),
    )
