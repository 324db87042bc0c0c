"""Logging: one structured event a line, as JSON or, on a terminal, for people.

Every text in a log line passes the redactor. A lasting failure (such as a full disk) is logged
twice a minute, not each time.
"""

import logging
import sys
import time
from collections.abc import MutableMapping
from typing import Any

import structlog

from broker.security.redaction import install_traceback_hook, redact, redact_values

QUIET_SECONDS = 30.0
MOST_FAILURES = 1_000  # that are remembered
_VARYING = frozenset({"timestamp", "items", "jobs", "request_id"})


def configure_logging(level: int = logging.INFO) -> None:
    """Send structlog and the standard library's loggers to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        Repeats(),
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, _redact_event, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_RedactingFormatter("%(levelname)s %(message)s"))
    handler.addFilter(Repeats().filter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    install_traceback_hook()


class Repeats:
    """Remembers what was logged a moment ago."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, int]] = {}

    def dropped_before(self, text: str) -> int | None:
        """Return how often this text was dropped before now, or None where it is dropped again."""
        now = time.monotonic()
        logged_at, dropped = self._seen.get(text, (-QUIET_SECONDS, 0))
        if now - logged_at < QUIET_SECONDS:
            self._seen[text] = (logged_at, dropped + 1)
            return None
        if len(self._seen) >= MOST_FAILURES:
            self._seen.clear()
        self._seen[text] = (now, 0)
        return dropped

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Return an event of structlog. Raises DropEvent for a failure that is logged already."""
        if "error" not in event:
            return event
        details = sorted((k, str(v)[:200]) for k, v in event.items() if k not in _VARYING)
        dropped = self.dropped_before(str(details))
        if dropped is None:
            raise structlog.DropEvent
        return {**event, "repeated": dropped} if dropped else event

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record of the standard library is logged."""
        return self.dropped_before(f"{record.name} {record.getMessage()}"[:300]) is not None


class _RedactingFormatter(logging.Formatter):
    """Formats a record of the standard library, its traceback included, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _redact_event(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return {name: redact_values(value) for name, value in event.items()}
