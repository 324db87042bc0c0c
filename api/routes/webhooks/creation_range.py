"""A range of creation in a list whose ids sort by time: the ids of its ends are its bounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # of ULIDs: github.com/ulid/spec
_TIME_BITS = range(45, -1, -5)


@dataclass(frozen=True, slots=True)
class CreationRange:
    """From the first id of `since` on, before the first id of `until`."""

    since: str | None = None
    until: str | None = None

    @classmethod
    def of_seconds(cls, since: float | None, until: float | None) -> Self:
        return cls(_first_id(since), _first_id(until))

    def after(self, last_seen: str | None) -> str | None:
        """Return where a page begins, newest first, that comes after `last_seen`."""
        bounds = [bound for bound in (last_seen, self.until) if bound is not None]
        return min(bounds) if bounds else None

    def within(self, rows: Sequence[Any]) -> Sequence[Any]:
        """Leave out what is older than the range."""
        return rows if self.since is None else [row for row in rows if row.id >= self.since]


def _first_id(moment: float | None) -> str | None:
    """Return what sorts before every delivery of this moment and after all earlier ones."""
    if moment is None:
        return None
    milliseconds = int(moment * 1000)
    return "dlv_" + "".join(_ALPHABET[milliseconds >> bits & 31] for bits in _TIME_BITS)
