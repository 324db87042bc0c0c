"""Column types that tables share."""

from typing import Any

from sqlalchemy import BigInteger, Column


def big(*, nullable: bool = False, default: int | None = None, key: bool = False) -> Any:
    """A 64-bit integer: Unix milliseconds or nano-dollars."""
    server_default = None if default is None else str(default)
    return Column(BigInteger, nullable=nullable, server_default=server_default, primary_key=key)
