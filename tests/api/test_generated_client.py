"""A client generated from the OpenAPI document makes typed calls.

`WAYBILL_TEST_OPENAPI_CLIENT` names the program `openapi-python-client`; its pins of other packages
exclude ours, so it has an environment of its own, and CI makes one. Without it, these are skipped.
"""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.app import create_app
from broker.settings import Settings
from tests.api.conftest import ORIGIN, Api

GENERATOR = os.environ.get("WAYBILL_TEST_OPENAPI_CLIENT")

pytestmark = pytest.mark.skipif(not GENERATOR, reason="WAYBILL_TEST_OPENAPI_CLIENT is not set")

CHAT = {"model": "acme/small", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The generated package, importable as `generated_waybill`."""
    place: Path = tmp_path_factory.mktemp("client")
    document = place / "openapi.json"
    document.write_text(json.dumps(create_app(Settings()).openapi()))
    command = [str(GENERATOR), "generate", "--meta", "none"]
    paths = ["--path", str(document), "--output-path", str(place / "generated_waybill")]
    done = subprocess.run(
        [*command, *paths], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for loss in ("Endpoint will not be generated", "resulted in the removal of"):
        assert loss not in done.stdout + done.stderr
    sys.path.insert(0, str(place))
    yield "generated_waybill"
    sys.path.remove(str(place))


async def test_a_generated_client_submits_and_reads_a_job(api: Api, package: str) -> None:
    # Given a generated client with a key
    client_of = importlib.import_module(f"{package}.client").AuthenticatedClient
    models = importlib.import_module(f"{package}.models")
    submit = importlib.import_module(f"{package}.api.jobs.submit_job")
    get = importlib.import_module(f"{package}.api.jobs.get_job")
    client = client_of(base_url=ORIGIN, token=api.key())
    api.http.headers["Authorization"] = f"Bearer {client.token}"
    client.set_async_httpx_client(api.http)
    # When it submits a job twice under one key, and reads it
    body = models.JobRequest.from_dict({"body": CHAT, "metadata": {"ticket": "42"}})
    made = await submit.asyncio(client=client, body=body, idempotency_key="once")
    again = await submit.asyncio(client=client, body=body, idempotency_key="once")
    found = await get.asyncio(made.id, client=client)
    # Then all three are the same typed job
    assert isinstance(found, models.Job)
    assert found.id == made.id == again.id
    assert found.status is models.JobState.QUEUED
    assert found.plan[0].provider == "sim"
    assert found.metadata.to_dict() == {"ticket": "42"}


async def test_a_generated_client_lists_models_with_their_prices(api: Api, package: str) -> None:
    # Given a generated client without a key
    client_of = importlib.import_module(f"{package}.client").Client
    list_models = importlib.import_module(f"{package}.api.models.list_models")
    client = client_of(base_url=ORIGIN)
    client.set_async_httpx_client(api.http)
    # When it lists the models
    found = await list_models.asyncio(client=client)
    # Then each has typed prices
    assert found.total_count == len(found.data) > 0
    assert {type(each.pricing.prompt) for each in found.data} == {str}
