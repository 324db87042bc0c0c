"""The password of Flower, which shows queues and can stop workers."""

import contextlib
import os
import secrets
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from broker.settings import Settings

USER = "waybill"
OFF = "off"


@dataclass(frozen=True, slots=True)
class Login:
    """Flower's login as `user:password`; `made_in` is set where it was made just now."""

    text: str
    made_in: Path | None = None


def flower_login(config: Settings, host: str) -> Login | None:
    """Return Flower's login at this address, or None where it needs none.

    The setting decides. Without it a password is made for addresses that other machines reach; it
    is kept in the data directory.
    """
    if config.flower_basic_auth == OFF or (not config.flower_basic_auth and is_loopback(host)):
        return None
    if config.flower_basic_auth:
        return Login(config.flower_basic_auth)
    path = config.data_dir / "flower_password"
    made = _made(path)
    return Login(f"{USER}:{path.read_text().strip()}", path if made else None)


def is_loopback(host: str) -> bool:
    """Return True where only this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _made(path: Path) -> bool:
    """Write a new password for its owner alone, unless there is one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(18))
        return True
    return False
