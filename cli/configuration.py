"""The configuration of commands: that of the `waybill up` on this data directory, if one runs.

Keys of providers are often set in one terminal only. A command in another terminal gets the
variables from `waybill up`, over a socket that only its owner can open.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from broker import settings
from broker.settings import Settings, config_path
from cli.environment import ENV_FILE, own_variables
from cli.messages import print_message

CLIENT_VARIABLES = frozenset({"WAYBILL_URL", "WAYBILL_API_KEY", "WAYBILL_MODEL", ENV_FILE})
"""Variables of a command itself, which `waybill up` does not replace."""

TIMEOUT_SECONDS = 3.0


def environment_socket(data_dir: Path) -> Path:
    """Return the socket at which `waybill up` answers with its environment."""
    return data_dir / "up.sock"


@contextlib.asynccontextmanager
async def sharing_environment(data_dir: Path) -> AsyncIterator[None]:
    """Answer with this process's environment while the block runs."""
    path = environment_socket(data_dir)
    answer = json.dumps(shared_environment(data_dir)).encode()

    async def answer_client(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(answer)
            await writer.drain()
            writer.close()

    async with contextlib.AsyncExitStack() as stack:
        mask = os.umask(0o177)  # only the owner can open the socket
        try:
            path.unlink(missing_ok=True)
            server = await asyncio.start_unix_server(answer_client, path)
            stack.callback(path.unlink, missing_ok=True)
            stack.callback(server.close)
        except OSError as error:  # a full disk, or a path that is too long for a socket
            print_message(f"other commands use their own environment only: {error}")
        finally:
            os.umask(mask)
        yield


def shared_environment(data_dir: Path) -> dict[str, str]:
    """Return the variables that Waybill reads, with paths that hold in any directory."""
    found = {name: os.environ[name] for name in own_variables(os.environ) - CLIENT_VARIABLES}
    found["WAYBILL_DATA_DIR"] = str(data_dir.absolute())
    if config_path().is_file():
        found["WAYBILL_CONFIG"] = str(config_path().absolute())
    return found


def running_environment(data_dir: Path) -> dict[str, str] | None:
    """Return the environment of the `waybill up` on this data directory, or None."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(str(environment_socket(data_dir)))
            with connection.makefile("rb") as answer:
                found: dict[str, str] = json.load(answer)
    except (OSError, ValueError):
        return None
    return found


def replace_environment(environment: Mapping[str, str]) -> None:
    """Replace the variables that Waybill reads in this process by these."""
    for name in own_variables(os.environ) - CLIENT_VARIABLES:
        del os.environ[name]
    os.environ.update(environment)


def load_configuration() -> Settings:
    """Load the configuration: that of the `waybill up` on this data directory, if one runs."""
    config = settings.load()
    environment = running_environment(config.data_dir)
    if environment is None:
        return config
    replace_environment(environment)
    return settings.load()


def is_up_here(config: Settings) -> bool:
    """Return True where a `waybill up` runs on the data directory of this configuration."""
    return running_environment(config.data_dir) is not None


ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  # compared, not bound


def address(host: str, port: int) -> str:
    """Return the URL at which this machine reaches an API that listens on this address."""
    name = "127.0.0.1" if host in ANY_ADDRESS else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def linking_to(config: Settings, url: str) -> Settings:
    """Return the configuration with this URL for links, unless a public URL is set."""
    if config.public_url and "public_url" in config.model_fields_set:
        return config
    return config.model_copy(update={"public_url": url})
