"""The configuration of `--demo`: the example's, with the simulator where it really is."""

from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE_ADDRESS = "127.0.0.1:9100"  # the simulator's, in examples/waybill.toml


def demo_file(data_dir: Path) -> Path:
    """Where `waybill up --demo` keeps its configuration, if there is no other."""
    return data_dir / "demo.toml"


def write_configuration(path: Path, simulator_port: int) -> None:
    """Write a waybill.toml for a simulator on this port. Raises SystemExit outside a checkout."""
    example = EXAMPLES / "waybill.toml"
    if not example.is_file():
        raise SystemExit(
            f"waybill: {example} is not there: --demo needs a checkout, or a WAYBILL_CONFIG that "
            "names the simulator"
        )
    address = f"127.0.0.1:{simulator_port}"
    path.write_text(example.read_text().replace(EXAMPLE_ADDRESS, address))
