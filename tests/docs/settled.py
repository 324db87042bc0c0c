"""The server that all pages are followed on."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import blocks
from tests.docs.reader import OWN, Programs, Reader
from tests.installation import KEY, REPOSITORY, Installation

SIMULATOR = "127.0.0.1:9100"
ATTACHMENTS = REPOSITORY / "docs/how-to/send-images-and-documents.md"
PICTURES = REPOSITORY / "docs/how-to/make-and-change-pictures.md"


@dataclass(frozen=True, slots=True)
class Settled:
    """A running installation, and what its readers know of it."""

    installation: Installation
    addresses: Mapping[str, str]  # what pages show: what it is here
    environment: Mapping[str, str]

    def reader(self, directory: Path, programs: Programs = OWN) -> Reader:
        return Reader(directory, self.environment, addresses=self.addresses, programs=programs)


@contextmanager
def settled_installation() -> Iterator[Settled]:
    """Run an installation; readers make what else they need, as the pages show."""
    installation = Installation()
    simulator = f"127.0.0.1:{installation.simulator_port}"
    addresses = {
        "127.0.0.1:8080": f"127.0.0.1:{installation.port}",
        SIMULATOR: simulator,
        "127.0.0.1:11434": simulator,  # Ollama
        ".waybill/": f"{installation.data_dir}/",
    }
    installation.config.write_text("\n".join(_configurations()).replace(SIMULATOR, simulator))
    with installation:
        (installation.data_dir / "api_key").write_text(KEY)
        yield Settled(installation, addresses, _environment(installation))


def _configurations() -> Iterator[str]:
    """The demo's configuration, vendors that answer, and the models of two guides."""
    yield (REPOSITORY / "examples/waybill.toml").read_text()
    yield Path(__file__).with_name("waybill.toml").read_text()
    for page in (ATTACHMENTS, PICTURES):
        yield from (block.text for block in blocks(page) if block.language == "toml")


def _environment(installation: Installation) -> dict[str, str]:
    """Return a reader's settings, with the configuration that a page shows."""
    kept = {
        name: value for name, value in installation.environment.items() if name != "WAYBILL_CONFIG"
    }
    return kept | {"PATH": f"{Path(sys.executable).parent}:{kept['PATH']}"}
