"""Column types that tables share."""

from typing import Any

from sqlalchemy import BigInteger, Column


def big(*, nullable: bool = False) -> Any:
    """A 64-bit integer: Unix milliseconds or nano-dollars."""
    return Column(BigInteger, nullable=nullable)
