"""The configuration in force: that of the `waybill up` on this data directory, if one runs.

Keys of providers are often set in one terminal only. A command in another one asks `waybill up`
for the variables that Waybill reads, by a socket that only its owner can open.
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
from cli.messages import say

OF_CLIENTS = frozenset({"WAYBILL_URL", "WAYBILL_API_KEY", "WAYBILL_MODEL", ENV_FILE})
"""Variables of the command itself: it keeps its own."""

PATIENCE_SECONDS = 3.0


def environment_socket(data_dir: Path) -> Path:
    """Return where `waybill up` answers with its environment."""
    return data_dir / "up.sock"


@contextlib.asynccontextmanager
async def sharing_environment(data_dir: Path) -> AsyncIterator[None]:
    """Answer with this process's environment for as long as the block lasts."""
    path = environment_socket(data_dir)
    answer = json.dumps(shared_environment(data_dir)).encode()

    async def give(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(answer)
            await writer.drain()
            writer.close()

    async with contextlib.AsyncExitStack() as stack:
        mask = os.umask(0o177)  # the socket is for its owner alone from its beginning
        try:
            path.unlink(missing_ok=True)
            server = await asyncio.start_unix_server(give, path)
            stack.callback(path.unlink, missing_ok=True)
            stack.callback(server.close)
        except OSError as error:  # a full disk, or a path that is too long for a socket
            say(f"commands beside this one see their own environment only: {error}")
        finally:
            os.umask(mask)
        yield


def shared_environment(data_dir: Path) -> dict[str, str]:
    """Return the variables that Waybill reads, with paths that hold in any directory."""
    found = {name: os.environ[name] for name in own_variables(os.environ) - OF_CLIENTS}
    found["WAYBILL_DATA_DIR"] = str(data_dir.absolute())
    if config_path().is_file():
        found["WAYBILL_CONFIG"] = str(config_path().absolute())
    return found


def running_environment(data_dir: Path) -> dict[str, str] | None:
    """Ask the `waybill up` of this data directory; None where none answers."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_SECONDS)
            connection.connect(str(environment_socket(data_dir)))
            with connection.makefile("rb") as answer:
                found: dict[str, str] = json.load(answer)
    except (OSError, ValueError):
        return None
    return found


def adopt(environment: Mapping[str, str]) -> None:
    """Put these variables in the place of those that Waybill reads here."""
    for name in own_variables(os.environ) - OF_CLIENTS:
        del os.environ[name]
    os.environ.update(environment)


def load_configuration() -> Settings:
    """Load the configuration: that of the `waybill up` on this data directory, if one runs."""
    config = settings.load()
    environment = running_environment(config.data_dir)
    if environment is None:
        return config
    adopt(environment)
    return settings.load()


def is_up_here(config: Settings) -> bool:
    """Tell whether a `waybill up` runs on the data directory of this configuration."""
    return running_environment(config.data_dir) is not None


EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # compared, not bound


def address(host: str, port: int) -> str:
    """Return the URL of an API that listens here, as this machine reaches it."""
    name = "127.0.0.1" if host in EVERYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def linking_to(config: Settings, url: str) -> Settings:
    """Give out links to this URL, unless it is said how callers reach the API."""
    if config.public_url and "public_url" in config.model_fields_set:
        return config
    return config.model_copy(update={"public_url": url})
