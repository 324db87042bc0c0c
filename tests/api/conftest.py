"""The API in this process, on a database of the test's own; no worker, no Redis."""

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from starlette.datastructures import State

from api.app import create_app, run_services
from broker import accounts
from broker.accounts import CallerKind, users
from broker.settings import EndpointRow, ModelRow, ProviderRow, Settings
from broker.storage.database import Database

ORIGIN = "http://waybill.test"


@dataclass
class Api:
    """A running application, its database, and a client for each kind of caller."""

    app: FastAPI
    database: Database
    http: httpx.AsyncClient
    operator: str  # a management key of the installation

    def key(self, workspace_id: str = accounts.DEFAULT_WORKSPACE, **columns: Any) -> str:
        """A key straight from the database."""
        kind = columns.pop("kind", CallerKind.INFERENCE).value
        with self.database.transaction() as connection:
            return accounts.create_key(connection, workspace_id, "key", kind=kind, **columns).key

    def manager(self, workspace_id: str = accounts.DEFAULT_WORKSPACE) -> str:
        return self.key(workspace_id, kind=CallerKind.MANAGEMENT)

    def workspace(self, name: str = "acme", *, unlimited: bool = True) -> str:
        with self.database.transaction() as connection:
            return accounts.create_workspace(connection, name, unlimited=unlimited)

    async def ask(
        self, method: str, path: str, key: str | None = None, **details: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key or self.operator}"} | details.pop("headers", {})
        return await self.http.request(method, f"/api/v1{path}", headers=headers, **details)


@pytest.fixture(autouse=True, scope="session")
def quick_passwords():
    """Hashing that takes no time: how long it takes is argon2's business."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(users, "_hasher", PasswordHasher(time_cost=1, memory_cost=64))
        yield


def settings_for(directory, **more: Any) -> Settings:
    endpoint = {"provider": "sim", "model": "sim", "prompt": "1", "completion": "2"}
    return Settings(
        data_dir=directory,
        redis_url=more.pop("redis_url", "unix:///nowhere/valkey.sock"),
        sqlite_synchronous="normal",
        public_url=ORIGIN,
        secret_key="the secret of these tests",
        providers=[
            ProviderRow(slug=slug, wire="openai", base_url="http://127.0.0.1:9/v1", api_key="any")
            for slug in ("sim", "spare")
        ],
        models=[
            ModelRow(slug="acme/small", endpoints=[EndpointRow(**endpoint)]),
            ModelRow(slug="acme/small:free", endpoints=[EndpointRow(**endpoint)]),
            ModelRow(slug="other/big", endpoints=[EndpointRow(**endpoint | {"provider": "spare"})]),
        ],
        **more,
    )


_idle: dict[Hashable, list[FastAPI]] = defaultdict(list)


@contextlib.contextmanager
def application(config: Settings) -> Iterator[FastAPI]:
    """Lend an application to one test at a time: building its routes takes longer than most tests.

    Its state and middleware are new. Applications with other middleware are not shared.
    """
    apps = _idle[config.refusals_per_minute, str(config.cors_origins), str(config.trusted_proxies)]
    app = apps.pop() if apps else create_app(config)
    app.state, app.middleware_stack = State(), None
    yield app
    apps.append(app)  # not after an error, which may have left something behind


@contextlib.asynccontextmanager
async def running(config: Settings) -> AsyncIterator[Api]:
    """Run the application on a migrated database."""
    with application(config) as app:
        async with run_services(app, config):
            database = app.state.services.database
            with database.transaction() as connection:
                accounts.ensure_first_start(connection, "")
                made = accounts.create_key(
                    connection, accounts.DEFAULT_WORKSPACE, "operator", kind="management",
                    everywhere=True,
                )  # fmt: skip
            transport = httpx.ASGITransport(app, client=("203.0.113.7", 4711))
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
                yield Api(app, database, http, made.key)


@pytest.fixture
async def api(database_url, tmp_path) -> AsyncIterator[Api]:
    async with running(settings_for(tmp_path, database_url=database_url)) as api:
        yield api


@pytest.fixture
async def browser(api) -> AsyncIterator[httpx.AsyncClient]:
    """A client that keeps cookies, as a browser does."""
    transport = httpx.ASGITransport(api.app, client=("203.0.113.9", 4711))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        yield http
