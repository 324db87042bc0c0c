"""Limit the uploads that each workspace begins in a minute, and those under way here."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from broker.errors import RateLimitedError

AT_ONCE = 16
"""Uploads of one workspace that are under way: each may write its whole size before it counts."""

MINUTE = 60.0


class TooManyUploadsError(RateLimitedError):
    retry_after = 5


class UploadTurns:
    """See the module."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._under_way: Counter[str] = Counter()
        self._begun: Counter[str] = Counter()
        self._since = time.monotonic()

    @contextmanager
    def taken(self, workspace_id: str) -> Iterator[None]:
        """Count an upload for as long as this lasts. Raises TooManyUploadsError."""
        if time.monotonic() - self._since >= MINUTE:
            self._begun.clear()
            self._since = time.monotonic()
        if self._per_minute and self._begun[workspace_id] >= self._per_minute:
            raise TooManyUploadsError(
                f"The workspace has begun {self._per_minute} uploads in this minute, which is the "
                "limit (WAYBILL_UPLOADS_PER_MINUTE): wait a moment."
            )
        if self._under_way[workspace_id] >= AT_ONCE:
            raise TooManyUploadsError(
                f"{AT_ONCE} uploads of the workspace are under way, which is the limit: let one "
                "end first."
            )
        self._begun[workspace_id] += 1
        self._under_way[workspace_id] += 1
        try:
            yield
        finally:
            self._under_way[workspace_id] -= 1
            if not self._under_way[workspace_id]:
                del self._under_way[workspace_id]
