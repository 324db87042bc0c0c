"""The configuration of `--demo`: the example's, with the address of the simulator."""

import tomllib
from pathlib import Path

INSTALLED_EXAMPLES = Path(__file__).parents[1] / "examples"
"""The place of the repository's `examples/` in the wheel."""
EXAMPLES = next(
    (
        path
        for path in (INSTALLED_EXAMPLES, Path(__file__).parents[2] / "examples")
        if path.is_dir()
    ),
    INSTALLED_EXAMPLES,
)
EXAMPLE_ADDRESS = "127.0.0.1:9100"  # the simulator's, in examples/waybill.toml


def demo_file(data_dir: Path) -> Path:
    """Return the demo's configuration file, which is used when there is no other."""
    return data_dir / "demo.toml"


def demo_models() -> set[str]:
    """Return the slugs of the demo's models."""
    example = tomllib.loads((EXAMPLES / "waybill.toml").read_text())
    return {str(row["slug"]) for row in example["models"]}


def write_configuration(path: Path, simulator_port: int) -> None:
    """Write a waybill.toml for a simulator on this port."""
    example = EXAMPLES / "waybill.toml"
    address = f"127.0.0.1:{simulator_port}"
    path.write_text(example.read_text().replace(EXAMPLE_ADDRESS, address))
