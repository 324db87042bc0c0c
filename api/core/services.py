"""The services that routes use, built once per API process and found on `app.state`."""

from dataclasses import dataclass

from redis.asyncio import Redis
from starlette.requests import Request

from api.core.auth import Keyring
from api.core.concurrency_limits import OpenStreams, UploadLimits
from api.core.job_subscriptions import JobSubscriptions
from api.core.local_models import LocalModels
from broker.catalog import Catalog, LiveCatalog
from broker.credentials import LiveCredentials
from broker.dispatch.publisher import Publisher
from broker.providers.health import Observer
from broker.rate_limits import Limiter
from broker.security.encryption import Encryption
from broker.security.signed_links import Signer
from broker.settings import Settings
from broker.storage.database import Database
from broker.storage.files import FileStore


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a route uses; nothing in it belongs to a single request."""

    settings: Settings
    database: Database
    redis: Redis
    observer: Observer
    publisher: Publisher
    live_catalog: LiveCatalog
    local_models: LocalModels
    keyring: Keyring
    limiter: Limiter
    subscriptions: JobSubscriptions
    open_streams: OpenStreams
    upload_limits: UploadLimits
    files: FileStore
    signer: Signer
    encryption: Encryption
    credentials: LiveCredentials

    @property
    def catalog(self) -> Catalog:
        """The catalog as it is now."""
        return self.live_catalog.current


def get_services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found
