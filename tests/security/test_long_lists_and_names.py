"""A name of megabytes, or a list of 100,000, is bounded before anything is searched for it."""

import asyncio
import gc
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from tests.api.conftest import Api, running, settings_for

LONG = "a/" + "b" * 2_000_000
MANY = [f"acme/m{number}" for number in range(100_000)]
NUMBERS = list(range(200_000))
SAME = ["acme/small"] * 200_000
BLOCKED_SECONDS = 0.5
"""Seconds for which the loop may be held; the JSON of 2 MB takes a part of it."""

CHAT: dict[str, dict[str, Any]] = {
    "model": {"model": LONG},
    "model with a variant": {"model": "acme/small:" + "b" * 2_000_000},
    "model of colons": {"model": ":" * 2_000_000},
    "models": {"models": MANY},
    "models, all the same": {"models": SAME},
    "order": {"provider": {"order": MANY}},
    "one provider": {"provider": {"order": [LONG]}},
    "quantizations": {"provider": {"quantizations": MANY}},
    "unknown preference": {"provider": {LONG: True}},
    "sort": {"provider": {"sort": LONG}},
    "preset": {"preset": LONG},
    "preset as a model": {"model": "@preset/" + LONG},
    "plugins": {"plugins": [{"id": name} for name in MANY]},
    "transforms": {"transforms": MANY},
    "allowed models": {"plugins": [{"id": "auto-router", "allowed_models": MANY}]},
    "pattern": {"plugins": [{"id": "auto-router", "allowed_models": ["*a" * 1_000_000]}]},
    "modalities": {"modalities": MANY},
    "tier": {"service_tier": LONG},
    "metadata": {"metadata": dict.fromkeys(MANY, "a")},
    "unknown field": {LONG: 1},
    "many fields": dict.fromkeys(MANY, 1),
    "webhook": {"webhook": "https://example.com/" + LONG},
    "roles": {"messages": [{"role": LONG, "content": "hi"}]},
}
BODIES = {
    f"chat, {name}": ("/chat/completions", {"model": "acme/small", **more})
    for name, more in CHAT.items()
} | {
    "job, endpoint": ("/jobs", {"endpoint": LONG, "body": {}}),
    "job, metadata": ("/jobs", {"body": {}, "metadata": dict.fromkeys(MANY, "a")}),
    "route": ("/route", {"model": LONG, "messages": []}),
    "embeddings": ("/embeddings", {"model": LONG, "input": "a"}),
    "rerank": ("/rerank", {"model": "acme/small", "query": "a", "documents": MANY}),
    "compare": ("/compare", {"models": MANY, "messages": []}),
    "batch": ("/batches", {"input_file_id": LONG, "endpoint": LONG}),
    "preset, slug": ("/presets/" + "a" * 30_000, {}),
    "webhook, events": ("/webhooks", {"url": "https://example.com", "events": MANY}),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """An API whose garbage collections pass over what earlier tests left, as `waybill api` does."""
    directory = tmp_path_factory.mktemp("long")
    url = f"sqlite:///{shutil.copy(migrated, directory / 'waybill.db')}"
    async with running(settings_for(directory, database_url=url)) as api:
        gc.collect()
        gc.freeze()
        yield api
        gc.unfreeze()


async def longest_block(stop: asyncio.Event) -> float:
    """Return how long the loop was held at once."""
    longest = 0.0
    while not stop.is_set():
        began = time.process_time()
        await asyncio.sleep(0)
        longest = max(longest, time.process_time() - began)
    return longest


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", BODIES)
async def test_it_does_not_hold_up_the_loop(api: Api, name: str) -> None:
    path, body = BODIES[name]
    if path == "/chat/completions":
        message = {"role": "user", "content": "hi"}
        path, body = "/jobs", {"body": {"messages": [message], **body}}
    key = api.key()
    stop = asyncio.Event()
    watching = asyncio.create_task(longest_block(stop))
    answer = await api.ask("POST", path, key, content=orjson.dumps(body))
    stop.set()
    blocked = await watching
    assert answer.status_code < 500
    assert len(answer.content) < 20_000 or answer.status_code == 202
    assert blocked < BLOCKED_SECONDS
