"""The house that all pages are followed in, and what is there before a reader comes."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.api.answers.scenario import operators_key
from tests.docs.pages import blocks
from tests.docs.reader import Reader
from tests.house import KEY, REPOSITORY, House

SIMULATOR = "127.0.0.1:9100"
ATTACHMENTS = REPOSITORY / "docs/how-to/send-images-and-documents.md"


@dataclass(frozen=True, slots=True)
class Settled:
    """A running house, and what its readers know of it."""

    house: House
    addresses: Mapping[str, str]  # what pages show: what it is here
    environment: Mapping[str, str]
    said: Mapping[str, str]

    def reader(self, directory: Path) -> Reader:
        return Reader(directory, self.environment, addresses=self.addresses, said=self.said)


@contextmanager
def settled_house() -> Iterator[Settled]:
    """Run a house with a workspace, a user, keys and a job."""
    house = House()
    simulator = f"127.0.0.1:{house.simulator_port}"
    addresses = {
        "127.0.0.1:8080": f"127.0.0.1:{house.port}",
        SIMULATOR: simulator,
        "127.0.0.1:11434": simulator,  # Ollama
        ".waybill/": f"{house.data_dir}/",
    }
    house.config.write_text("\n".join(_configurations()).replace(SIMULATOR, simulator))
    with house:
        management_key = operators_key(house)
        yield Settled(
            house, addresses, _environment(house, management_key), _furnish(house, management_key)
        )


def _configurations() -> Iterator[str]:
    """The demo's configuration, vendors that answer, and the models of one guide."""
    yield (REPOSITORY / "examples/waybill.toml").read_text()
    yield Path(__file__).with_name("waybill.toml").read_text()
    yield from (block.text for block in blocks(ATTACHMENTS) if block.language == "toml")


def _environment(house: House, management_key: str) -> dict[str, str]:
    """What a reader has set. The configuration is the directory's own, if a page shows one."""
    kept = {name: value for name, value in house.environment.items() if name != "WAYBILL_CONFIG"}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}",
        "WAYBILL_URL": house.root,
        "WAYBILL_API_KEY": KEY,
        "MANAGEMENT_KEY": management_key,
        "ANTHROPIC_KEY": "any",
        "ANTHROPIC_SPARE": "any",
        "WEBHOOK_SECRET": "whsec_dGhlIHNlY3JldCBvZiBhIHJlYWRlcg==",
    }


def _furnish(house: House, management_key: str) -> dict[str, str]:
    """Make what pages take for granted; return the ids that `…` stands for."""

    def made(path: str, **wish: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {management_key}"}
        answer = httpx.post(house.url + path, headers=headers, json=wish)
        return dict(answer.raise_for_status().json()["data"])

    workspace = made("/workspaces", name="Acme")["id"]
    made("/users", email="bob@example.com")
    key = made("/keys", name="ci", workspace_id=workspace)["id"]
    job = house.http.post("/jobs", json={"body": {"model": "acme/small", "messages": [
        {"role": "user", "content": "Hello"}]}})  # fmt: skip
    return {"key": KEY, "ws_": workspace, "key_": key, "job_": job.json()["id"]}
