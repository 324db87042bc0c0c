"""The parts of a worker for tests: real ones, with recorders in place of the transport."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from redis.asyncio import Redis

from broker.credentials import LiveCredentials
from broker.events.job_events import Event, EventWriter
from broker.providers.configuration import load_providers
from broker.providers.health import Observer, Recorder
from broker.providers.pacing import Pacer, Permit, Throttles
from broker.providers.pauses import LivePauses
from broker.queues import Lane
from broker.security.encryption import Encryption
from broker.settings import Settings
from broker.storage.database import Database
from broker.storage.files import file_store
from workers.attempt.attachments import Attachments
from workers.attempt.credentials import CallCredentials
from workers.attempt.endpoint_stats import OutcomeRecorder
from workers.attempt.execution import JobRunner
from workers.attempt.ocr import OcrCalls
from workers.attempt.open_circuits import CircuitCheck
from workers.attempt.pacing import Pacing
from workers.attempt.provider_calls import ProviderCalls
from workers.attempt.recording import Recording
from workers.attempt.running_attempts import RunningAttempts
from workers.media import Fetcher
from workers.media.fetching import MediaMemory
from workers.provider_routes import ProviderRoute, build_routes
from workers.sandbox.pool import Sandbox
from workers.upstream.client import ProviderClient

NOWHERE = "http://127.0.0.1:1"


class Publisher:
    """Records what is published, in place of the transport."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, str]] = []  # provider and job id
        self.deliveries: list[str] = []

    def publish(self, provider: str, _lane: str, job_ids: Sequence[str]) -> None:
        self.jobs += [(provider, job_id) for job_id in job_ids]

    def publish_deliveries(self, delivery_ids: Sequence[str]) -> None:
        self.deliveries += delivery_ids


class SentEvents:
    """Records the events that an EventWriter would send."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, _job_id: str, events: Sequence[Event], **_: Any) -> None:
        self.events += events

    def remember(self, *_: Any, **__: Any) -> None:
        """Remember nothing."""

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]


def make_routes(*slugs: str, url: str = NOWHERE, key: str = "key-1") -> dict[str, ProviderRoute]:
    """Routes to providers at `url` with the OpenAI wire."""
    rows = [{"slug": slug, "wire": "openai", "base_url": url, "api_key": key} for slug in slugs]
    return build_routes(load_providers(Settings(providers=rows)))


@asynccontextmanager
async def pacing_of(
    database: Database, redis: Redis, routes: dict[str, ProviderRoute], publisher: Any = None
) -> AsyncIterator[Pacing]:
    """The pacing of one worker."""
    limits = {slug: route.limits for slug, route in routes.items()}
    pacer = Pacer(redis, "worker-1", limits, max_calls=10)
    yield Pacing(
        database=database,
        redis=redis,
        publisher=publisher or Publisher(),
        routes=routes,
        pacer=pacer,
        throttles=Throttles(),
        pauses=LivePauses(database),
        likely_tokens=500,
    )
    await pacer.close()


def make_recording(database: Database, settings: Settings | None = None, **more: Any) -> Recording:
    """A recording whose events and publications are recorded, unless `more` has other parts."""
    settings = settings or Settings()
    parts = {
        "files": file_store(settings),
        "events": SentEvents(),
        "publisher": Publisher(),
        "recorder": SimpleNamespace(count_deviation=lambda _endpoint: None),
    }
    return Recording(settings=settings, database=database, **(parts | more))


@asynccontextmanager
async def runner_of(
    database: Database, redis: Redis, settings: Settings, *, url: str = NOWHERE, key: str = "key-1"
) -> AsyncIterator[JobRunner]:
    """A worker that calls the providers `alpha` and `beta` at `url`."""
    routes = make_routes("alpha", "beta", url=url, key=key)
    publisher, sandbox, fetch = Publisher(), Sandbox(), Fetcher(settings)
    client, events = ProviderClient(settings), EventWriter(redis, ttl_seconds=60)
    recorder, observer = Recorder(redis, "worker-1"), Observer(redis, opens_circuits=True)
    known = LiveCredentials(database, Encryption(b"k" * 32), routes)
    credentials = CallCredentials(database, known)
    async with pacing_of(database, redis, routes, publisher) as pacing:
        yield JobRunner(
            worker_id="worker-1",
            settings=settings,
            database=database,
            redis=redis,
            events=events,
            attempts=RunningAttempts(),
            pacing=pacing,
            circuits=CircuitCheck(redis, observer, routes),
            calls=ProviderCalls(
                database=database,
                client=client,
                routes=routes,
                credentials=credentials,
                attachments=Attachments(
                    settings,
                    fetch,
                    sandbox,
                    sandbox,
                    OcrCalls(settings, database, client, routes),
                    MediaMemory(10**6),
                ),
                pacing=pacing,
                recorder=recorder,
                max_answer_bytes=settings.max_answer_bytes,
            ),
            outcomes=OutcomeRecorder(database, redis, recorder, observer, routes, credentials),
            sandbox=sandbox,
            recording=make_recording(
                database, settings, events=events, publisher=publisher, recorder=recorder
            ),
        )
    await events.close()
    await client.aclose()
    await fetch.aclose()
    sandbox.close()


def permit_for(provider: str = "alpha", lane: Lane = Lane.INTERACTIVE) -> Permit:
    """A permit to call a provider."""
    return Permit(provider, lane, 0.0, 0)
