"""Logging: one structured event a line, as JSON or, on a terminal, for people.

Every text in a log line passes the redactor.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from broker.redaction import install_traceback_hook, redact, redact_values


def configure_logging(level: int = logging.INFO) -> None:
    """Send structlog and the standard library's loggers to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
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
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    install_traceback_hook()


class _RedactingFormatter(logging.Formatter):
    """Formats a record of the standard library, its traceback included, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _redact_event(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return {name: redact_values(value) for name, value in event.items()}
